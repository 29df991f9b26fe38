"""How far a round is, from its rows."""

from __future__ import annotations

import fcntl
import os
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.sandbox.outcomes import Outcome
from harness.store import round_state, rounds, runs
from harness.store.values import DONE, OPEN, RUNNING
from harness.tournament.hardware import hardware_words
from harness.tracks import TRACKS
from harness.views.progress import SlotView
from harness.views.round_reader import RoundReader
from harness.views.status import DuelCounts, KindCounts, NodeView, StatusView
from harness.views.timing import RunTimes, busy_share, overhead_s, spent

#: Runs that the times are summed over; reading all 891,000 of a contest would take seconds.
MOST_TIMED = 20_000


#: How far another machine's clock may be behind.
_CLOCKS_S = 5.0


class StatusReader(RoundReader):
    """Makes a ``StatusView``."""

    def status(self) -> StatusView:
        """How far the round is."""
        active = _held(self.tournament.config.state / "run.lock")
        states: dict[int, Counter[int]] = defaultdict(Counter)
        outcomes: Counter[str] = Counter()
        failed: Counter[int] = Counter()
        for count in runs.counts(self.transaction, self.relevant(self.members)):
            # Runs that a killed harness left as running wait for the next one.
            states[count.submission_id][OPEN if count.state == RUNNING and not active else count.state] += count.runs
            outcomes.update({count.outcome: count.runs} if count.outcome else {})
            failed[count.submission_id] += count.runs if count.state == DONE and count.outcome != Outcome.OK else 0
        kinds, times = self._kinds(states, failed), self._times()
        return StatusView(
            self.round.tournament, self.round.name, kinds, dict(outcomes), self._running() if active else (),
            self._eta(states, len(set(times.slots))) if active else None, spent(times), busy_share(times), overhead_s(times),
            active=active, rounds=rounds.names(self.transaction), nodes=self._nodes() if active else (),
            duels=tuple(DuelCounts(access, *counts) for access, counts in self.duel_counts().items()))

    def _nodes(self) -> tuple[NodeView, ...]:
        """The machines of the harness that runs now, where there are several: it has told of their slots since it began."""
        began = (self.tournament.config.state / "run.lock").stat().st_mtime - _CLOCKS_S
        latest = {name: facts for name, seen_at, facts in runs.slots(self.transaction) if seen_at >= began and "/" in name}
        nodes: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for name, facts in latest.items():
            nodes[name.partition("/")[0]].append(facts)
        return tuple(NodeView(name, len(slots), "; ".join(sorted({hardware_words(facts) for facts in slots})),
                              all(facts.get("lost") for facts in slots)) for name, slots in sorted(nodes.items()))

    def _times(self) -> RunTimes:
        """What the newest ended runs recorded; all of them, but for a contest."""
        times, slots = runs.newest_times(self.transaction, self._keys(self.members), MOST_TIMED)
        began, waited, start, compute, prepare, collect = times.T
        return RunTimes(began, waited, start, compute, prepare, collect, slots)

    def _kinds(self, states: Mapping[int, Counter[int]], failed: Mapping[int, int]) -> tuple[KindCounts, ...]:
        totals = self.totals(states)
        kinds = []
        for track in TRACKS:
            members = [m.id for m in self.members if m.type == track]
            done, running = (sum(states[m][state] for m in members) for state in (DONE, RUNNING))
            kinds.append(KindCounts(track, done, running, max(0, sum(totals[m] for m in members) - done - running),
                                    sum(failed[m] for m in members)))
        return tuple(kinds)

    def _eta(self, states: Mapping[int, Counter[int]], slots: int) -> float | None:
        """Seconds left: what each member still has to do at its median time, over the slots that have been at work.

        Where none of its runs has ended, a run is taken to be as long as others', but not shorter than its first has been running.
        What a run has had is no longer left.
        """
        medians = round_state.median_times(self.transaction, [m.id for m in self.members])
        if not medians or not slots:
            return None
        of_all = float(np.median(list(medians.values())))
        now, had = time.time(), defaultdict[str, list[float]](list)
        for name, _, began in runs.running(self.transaction):
            had[name].append(max(0.0, now - began))
        totals, left = self.totals(states), 0.0
        for member in self.members:
            each = medians.get(member.id, max([of_all, *had[member.name]]))
            left += max(0, totals[member.id] - states[member.id][DONE]) * each - sum(min(each, ran) for ran in had[member.name])
        return max(0.0, left) / slots

    def _running(self) -> tuple[SlotView, ...]:
        """Runs given to the engine; its next ones are queued among them, so their time is not compared with the limit."""
        now = time.time()
        return tuple(SlotView("at work", f"{name} on batch {self.position.get(batch, '?')}", max(0.0, now - began))
                     for name, batch, began in runs.running(self.transaction))


def _held(lock: Path) -> bool:
    """Whether a `harness run` holds the tournament: the kernel knows, not a file."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
