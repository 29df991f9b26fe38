"""How far a round is, from its rows."""

from __future__ import annotations

import fcntl
import os
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from sqlalchemy import func, select

from harness.sandbox.outcomes import Outcome
from harness.store import round_state
from harness.store.models import DONE, OPEN, RUNNING, InputRow, RoundRow, RunRow, SubmissionRow
from harness.tracks import TRACKS
from harness.views.progress import SlotView
from harness.views.round_reader import RoundReader
from harness.views.status import KindCounts, StatusView
from harness.views.timing import RunTimes, busy_share, overhead_s, spent

#: Runs that the times are summed over; reading all 891,000 of a contest would take seconds.
MOST_TIMED = 20_000


class StatusReader(RoundReader):
    """Makes a ``StatusView``."""

    def status(self) -> StatusView:
        """How far the round is."""
        active = _held(self.tournament.config.state / "run.lock")
        states: dict[int, Counter[int]] = defaultdict(Counter)
        outcomes: Counter[str] = Counter()
        failed: Counter[int] = Counter()
        if self.members:
            for submission, state, outcome, count in self.session.execute(
                    select(RunRow.submission_id, RunRow.state, RunRow.outcome, func.count())
                    .where(self.relevant(self.members)).group_by(RunRow.submission_id, RunRow.state, RunRow.outcome)):
                # What a killed harness left as running waits for the next one.
                states[submission][OPEN if state == RUNNING and not active else state] += count
                outcomes.update({outcome: count} if outcome else {})
                failed[submission] += count if state == DONE and outcome != Outcome.OK else 0
        kinds, times = self._kinds(states, failed), self._times()
        return StatusView(
            self.row.tournament, self.row.name, kinds, dict(outcomes), self._running() if active else (),
            self._eta(states, len(set(times.slots))) if active else None, spent(times), busy_share(times), overhead_s(times),
            active=active, rounds=self._rounds())

    def _times(self) -> RunTimes:
        """What the newest ended runs recorded; all of them, but for a contest."""
        # Filtered here: asked for the members' runs, SQLite goes through all of them by its index and sorts.
        members = {member.id: self.conditions(member) for member in self.members}
        newest = self.session.scalar(select(func.max(RunRow.id))) or 0
        rows = self.session.execute(
            select(RunRow.started_at, RunRow.waited_ms, RunRow.start_s, RunRow.wall_s, RunRow.prepare_ms, RunRow.collect_ms,
                   RunRow.slot, RunRow.submission_id, RunRow.conditions_id)
            .where(RunRow.id > newest - MOST_TIMED, RunRow.state == DONE, RunRow.slot.is_not(None))).all()
        kept = [row for row in rows if members.get(row[7]) == row[8]]
        numbers = np.array([row[:6] for row in kept], np.float64).reshape(-1, 6)
        began, waited, start, compute, prepare, collect = numbers.T
        return RunTimes(began, waited / 1000, start, compute, prepare / 1000, collect / 1000, tuple(str(row[6]) for row in kept))

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
        """Seconds left: what each member still has to do at its median time, over the slots that have been at work."""
        medians = round_state.median_times(self.transaction, [m.id for m in self.members])
        if not medians or not slots:
            return None
        unknown = float(np.median(list(medians.values())))
        totals = self.totals(states)
        return sum(max(0, totals[m.id] - states[m.id][DONE]) * medians.get(m.id, unknown) for m in self.members) / slots

    def _running(self) -> tuple[SlotView, ...]:
        """Runs handed to the engine; its next ones lie ready among them, so their time is not held against the limit."""
        rows = self.session.execute(
            select(SubmissionRow.name, InputRow.batch_id, RunRow.started_at)
            .join(SubmissionRow, SubmissionRow.id == RunRow.submission_id).join(InputRow, InputRow.id == RunRow.input_id)
            .where(RunRow.state == RUNNING).order_by(RunRow.started_at)).all()
        now = time.time()
        return tuple(SlotView("at work", f"{name} on batch {self.position.get(batch, '?')}", max(0.0, now - began))
                     for name, batch, began in rows)

    def _rounds(self) -> tuple[str, ...]:
        return tuple(self.session.scalars(select(RoundRow.name).order_by(RoundRow.id.desc())))


def _held(lock: Path) -> bool:
    """Whether a `harness run` holds the tournament: the kernel knows, no file says so."""
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
