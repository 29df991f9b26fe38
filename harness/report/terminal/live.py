"""The screen of ``harness run``: progress, time left, what each slot does; plain lines where there is no terminal.

It is fed values (``Snapshot``) and knows no scheduler. On a terminal the picture is redrawn in place on standard error, so that
standard output stays free for data; elsewhere a line is written every few seconds and at each tenth, so that a log of a long
contest stays short.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from harness.report.terminal.console import make_console
from harness.views.progress import SlotView, Snapshot
from harness.views.words import counts, duration, plural, shorten

#: Seconds between two plain lines where nothing else calls for one.
PLAIN_EVERY_S = 5.0
#: Pictures a second on a terminal: enough for a clock that counts seconds, little enough for a slow connection.
REFRESH_PER_S = 4.0
_MILESTONES = 10
#: Slots of several machines that have a line each; of more, the machines alone have.
_MOST_SLOTS = 16
#: The bar's widest, so that it stays readable on a very wide terminal.
_BAR_WIDEST = 60


class LiveProgress:
    """Shows snapshots until it is left; a context manager.

    Args:
        file: Where to write; standard error unless told otherwise.
        clock: Monotonic seconds, for the plain lines' pace.
        console: In place of ``file``.
    """

    def __init__(self, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic,
                 console: Console | None = None) -> None:
        self._console = console or make_console(file or sys.stderr)
        self._clock = clock
        self._live: Live | None = None
        self._began = clock()
        self._last_line = -PLAIN_EVERY_S
        self._last_tenth = -1
        self._last: Snapshot | None = None
        self._last_written: Snapshot | None = None

    def __enter__(self) -> Self:
        """Begin to show."""
        self._began = self._clock()
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(console=self._console, refresh_per_second=REFRESH_PER_S, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Clear the picture and leave one line with the progress."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._last is not None and self._last != self._last_written:
            self._write_line(self._last)

    def _write_line(self, snapshot: Snapshot) -> None:
        now = self._clock()
        self._last_line, self._last_written = now, snapshot
        self._console.print(Text(plain_line(snapshot, now - self._began)), soft_wrap=True)

    def update(self, snapshot: Snapshot) -> None:
        """Show a newer state; cheap enough to be called several times a second."""
        self._last = snapshot
        now = self._clock()
        if self._live is not None:
            self._live.update(picture(snapshot, self._console.width, now - self._began))
            return
        tenth = snapshot.done * _MILESTONES // snapshot.total if snapshot.total else _MILESTONES
        if tenth > self._last_tenth or now - self._last_line >= PLAIN_EVERY_S:
            self._last_tenth = tenth
            self._write_line(snapshot)

    def say(self, line: str) -> None:
        """A sentence that stays (a slot backing off, a damaged file), above the picture."""
        self._console.print(Text(line), soft_wrap=True)


def plain_line(snapshot: Snapshot, elapsed_s: float) -> str:
    """One line for a log."""
    share = 100 * snapshot.done // snapshot.total if snapshot.total else 100
    parts = [f"{snapshot.done:,}/{snapshot.total:,} runs ({share}%) after {duration(elapsed_s)}"]
    if snapshot.done < snapshot.total:
        parts.append(f"about {duration(snapshot.eta_s)} left" if snapshot.eta_s is not None else "time left unknown")
        busy = sum(bool(slot.what) for slot in snapshot.slots)
        if snapshot.slots:
            nodes = {slot.node for slot in snapshot.slots if slot.node}
            on = f" on {plural(len(nodes), 'node')}" if nodes else ""
            parts.append(f"{busy} of {plural(len(snapshot.slots), 'slot')}{on} busy")
        parts += [f"{name} {why.split(';')[0]}" for name, why in snapshot.absent.items()]
    if snapshot.outcomes:
        parts.append(counts(snapshot.outcomes))
    return ", ".join(parts)


def picture(snapshot: Snapshot, width: int, elapsed_s: float) -> RenderableType:
    """The screen: bar, outcomes, one line per slot; each line fits the width."""
    share = snapshot.done / snapshot.total if snapshot.total else 1.0
    left = f"about {duration(snapshot.eta_s)} left" if snapshot.eta_s is not None else "time left unknown"
    tail = f" {snapshot.done:,}/{snapshot.total:,} {int(100 * share)}%  {duration(elapsed_s)}, {left}"
    bar = max(5, min(_BAR_WIDEST, width - len(tail)))
    full = int(bar * share)
    lines = [Text.assemble(("━" * full, "good"), ("─" * (bar - full), "quiet"), tail)]
    if snapshot.outcomes:
        lines.append(_outcomes(snapshot.outcomes))
    nodes = sorted({slot.node for slot in snapshot.slots if slot.node} | set(snapshot.absent))
    lines += [_node_line(name, snapshot, max(map(len, nodes))) for name in nodes]
    if not nodes or len(snapshot.slots) <= _MOST_SLOTS:
        widest = max((len(slot.name) for slot in snapshot.slots), default=0)
        lines += [_slot_line(slot, widest, width) for slot in snapshot.slots]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines)


def _outcomes(outcomes: Mapping[str, int]) -> Text:
    text = Text()
    for part in counts(outcomes).split(" "):
        text.append(part + "  ", "good" if part.startswith("ok=") else "bad")
    return text


def _node_line(name: str, snapshot: Snapshot, widest: int) -> Text:
    label = f"{name:<{widest}}  "
    if name in snapshot.absent:
        return Text.assemble((label, "quiet"), (snapshot.absent[name], "bad"))
    slots = [slot for slot in snapshot.slots if slot.node == name]
    resting = sum(slot.resting for slot in slots)
    return Text.assemble((label, "name"), f"{sum(bool(slot.what) for slot in slots)} of {plural(len(slots), 'slot')} busy",
                         (f", {resting} backing off after host errors" if resting else "", "bad"))


#: From this share of its limit on, a run is shown as about to be killed.
_NEAR_LIMIT = 0.8


def _slot_line(slot: SlotView, widest: int, width: int) -> Text:
    name = f"{slot.name:<{widest}}  "
    if slot.resting:
        return Text.assemble((name, "quiet"), ("backing off after a host error", "bad"))
    if not slot.what:
        return Text.assemble((name, "quiet"), ("idle", "quiet"))
    time_text = f"  {slot.since_s:.0f} s" + (f" of {slot.limit_s:.0f} s" if slot.limit_s else "")
    near = slot.limit_s is not None and slot.since_s >= _NEAR_LIMIT * slot.limit_s
    what = shorten(slot.what, max(8, width - len(name) - len(time_text)))
    return Text.assemble((name, "quiet"), (what, "name"), (time_text, "bad" if near else "busy"))
