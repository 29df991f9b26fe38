"""``harness status``: how far a tournament is, what failed and what that means."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.files.run_sheets import status_sheet
from harness.report.terminal.console import table_box
from harness.views.progress import SlotView
from harness.views.status import NodeView, StatusView, blame, sentence
from harness.views.words import duration, plural


def print_status(view: StatusView, console: Console) -> None:
    """Print the state, then the outcomes with their meaning, then what to do next."""
    total, done = sum(kind.total for kind in view.kinds), sum(kind.done for kind in view.kinds)
    share = 100 * done // total if total else 0
    ended = "complete" if total else "nothing to run"
    state = "running now" if view.active else (ended if done == total else "not running")
    console.print(Text.assemble((f"{view.tournament} / {view.round}", "head"), f"  {done:,} of {plural(total, 'run')}",
                                f" ({share}%), ", (state, "busy" if view.active else "")))
    console.print()
    sheet = status_sheet(view)
    table = Table(box=table_box(console), show_edge=False, pad_edge=False, header_style="head")
    for place, title in enumerate(sheet.columns):
        table.add_column("" if place == 0 else title, justify="left" if place == 0 else "right")
    for row in sheet.rows:
        table.add_row(row[0], *(f"{number:,}" for number in row[1:]))
    console.print(table)
    if view.duels:
        counted = ", ".join(f"{duels.access.replace('_', ' ')} {duels.done:,} of {duels.total:,}" for duels in view.duels)
        console.print(Text(f"\nDuels done, their runs counted above: {counted}."))
    if view.outcomes:
        console.print()
        print_outcomes(view.outcomes, console)
    _print_time(view, console)
    if not view.active and done < total:
        console.print(Text.assemble("\nGo on with ", ("harness run", "command"), "."))


def print_outcomes(outcomes: Mapping[str, int], console: Console) -> None:
    """Outcomes, how often, and what each means."""
    table = Table(box=table_box(console), show_edge=False, pad_edge=False, header_style="head")
    table.add_column("outcome", no_wrap=True)
    table.add_column("runs", justify="right", no_wrap=True)
    table.add_column("what it means")
    for name, count in sorted(outcomes.items(), key=lambda item: (item[0] != "ok", -item[1])):
        style = {"submission": "bad", "host": "bad"}.get(blame(name), "good" if name == "ok" else "quiet")
        table.add_row(Text(name, style), f"{count:,}", sentence(name))
    console.print(table)


def _print_time(view: StatusView, console: Console) -> None:
    lines = []
    if view.eta_s is not None:
        lines.append(f"About {duration(view.eta_s)} left, from the median times so far.")
    if view.busy_share is not None:
        lines.append(f"Slots were busy running submissions for {100 * view.busy_share:.1f} % of the time.")
    if view.overhead_s is not None:
        lines.append(f"Overhead per run, starting programs included: {1000 * view.overhead_s:.0f} ms of a slot.")
    if view.spent_s:
        lines.append("Time went to: " + ", ".join(f"{stage} {duration(spent)}" for stage, spent in view.spent_s.items()) + ".")
    lines += [_node_line(node) for node in view.nodes]
    lines += [_slot_line(slot) for slot in view.slots]
    if lines:
        console.print()
    for line in lines:
        console.print(Text(line))


def _node_line(node: NodeView) -> str:
    if node.lost:
        return f"Node {node.name} was lost; its runs restarted elsewhere."
    return f"Node {node.name}: {plural(node.slots, 'slot')}, {node.hardware}."


def _slot_line(slot: SlotView) -> str:
    if not slot.what:
        return f"{slot.name}: {'backing off after a host error' if slot.resting else 'idle'}"
    limit = f" of {slot.limit_s:.0f} s" if slot.limit_s else ""
    return f"{slot.name}: {slot.what}, {slot.since_s:.0f} s{limit}"
