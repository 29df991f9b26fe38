"""Which run goes next: what an engine's free slot should be used for.

Attacks go before defenses, because each one makes a row of defense runs ready; among equals the longest expected goes first, so
that the tournament does not end with one slot busy and the others idle. Programs that are open go before all others: start-up
dominates short runs.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from harness.scheduling.board import DONE, Board, Kind, Task
from harness.scheduling.entrants import Lineup
from harness.tracks import Access

#: Relative change of an expected time from which the order of submissions is recomputed (0.1 ms at contest size).
REORDER_SHARE = 0.05
#: Work that must be left before a second program of one submission is opened, seconds: about twice what starting a program
#: with torch takes (1.4 to 2.5 s of CPU time).
WORTH_ANOTHER_S = 5.0
#: Runs of a submission whose median is its expected time.
_REMEMBERED = 9


class Choice:
    """Chooses runs from a board; knows what is running and how long things take.

    Args:
        lineup: Who takes part.
        board: The runs.
    """

    def __init__(self, lineup: Lineup, board: Board) -> None:
        self._lineup = lineup
        self._board = board
        self._serving = [(kind, entry) for kind, entrants in ((Kind.ATTACK, lineup.attacks), (Kind.DEFENSE, lineup.consumers))
                         for entry, entrant in enumerate(entrants) if entrant.served]
        self._suspects: set[int] = set()
        self._left_out: set[int] = set()
        self._active: Counter[str] = Counter()
        self._open: Mapping[str, int] = {}
        self._order: dict[Kind, list[int]] = {}
        self._seconds: defaultdict[tuple[Kind, int], list[float]] = defaultdict(list)
        self._expected = {
            Kind.ATTACK: np.array([c.expected_s for c in lineup.attacks], float),
            Kind.DEFENSE: np.array([c.expected_s for c in lineup.consumers], float)}

    @property
    def serving(self) -> bool:
        """Whether any submission is served by open programs."""
        return bool(self._serving)

    def opened(self, programs: Mapping[str, int]) -> None:
        """How many programs each submission (by digest) has open now."""
        self._open = programs

    def started(self, task: Task) -> None:
        """A run was handed to the engine."""
        self._active[self._digest(task.kind, task.entry)] += 1

    def ended(self, task: Task) -> None:
        """A run came back."""
        self._active[self._digest(task.kind, task.entry)] -= 1

    def suspect(self, submission: int) -> None:
        """A submission's (by the store's id) last run ended in a failure of the host: it waits for the others."""
        self._suspects.add(submission)

    def leave_out(self, submission: int) -> None:
        """Start no further run of a submission."""
        self._left_out.add(submission)

    def is_left_out(self, kind: Kind, entry: int) -> bool:
        """Whether no further run of this kind and entry is started."""
        return not self._left_out.isdisjoint(self._lineup.involved(kind, entry))

    def _is_suspect(self, kind: Kind, entry: int) -> bool:
        return not self._suspects.isdisjoint(self._lineup.involved(kind, entry))

    def suspects_everybody(self) -> bool:
        """Whether the last run of every submission failed on the host's side."""
        return len(self._suspects) == len(self._lineup.everybody)

    def trusts_anybody(self) -> bool:
        """Whether a submission that is not suspected has a run that could start."""
        return any(self._board.ready(kind, entry) and not self._is_suspect(kind, entry)
                   for kind in (Kind.ATTACK, Kind.DEFENSE) for entry in range(len(self._expected[kind])))

    def learn(self, task: Task, seconds: float) -> None:
        """A run ended with a result, after so long."""
        self._suspects.difference_update(self._lineup.involved(task.kind, task.entry))
        known = self._seconds[task.kind, task.entry]
        known.append(seconds)
        del known[:-_REMEMBERED]
        before, now = self._expected[task.kind][task.entry], statistics.median(known)
        if not abs(now - before) <= REORDER_SHARE * before:  # also where nothing was known (NaN)
            self._expected[task.kind][task.entry] = now
            self._order.pop(task.kind, None)

    def remaining_s(self, running: Mapping[Task, float]) -> float | None:
        """Expected run time of everything that has no result yet, over all slots, seconds; None while nothing is known.

        Args:
            running: For how many seconds each run that has a slot has had it.
        """
        board = self._board
        left = {Kind.ATTACK: np.count_nonzero(board.attack_state < DONE, axis=1),
                Kind.DEFENSE: np.count_nonzero(board.defense_state[: len(board.inputs)] < DONE, axis=0) + board.to_come()}
        if all(np.isnan(expected).all() for expected in self._expected.values()):
            return None
        longest: dict[tuple[Kind, int], float] = {}
        for task, seconds in running.items():
            longest[task.kind, task.entry] = max(seconds, longest.get((task.kind, task.entry), 0.0))
        expected = {kind: self._filled(kind, longest) for kind in left}
        total = sum(float((left[kind] * expected[kind]).sum()) for kind in left)
        return total - sum(min(seconds, float(expected[task.kind][task.entry])) for task, seconds in running.items())

    def _filled(self, kind: Kind, running: Mapping[tuple[Kind, int], float]) -> NDArray[np.float64]:
        """Expected times, with a guess where nothing is known: the median of the same attack's, of the same access, or of all.

        None is shorter than the entry itself has been running; of an attack of which nothing is known, than it has against anybody,
        and of such an access, than any has: the first duels of a round take far longer than the runs before them.
        """
        expected = self._expected[kind].copy()
        unknown = np.flatnonzero(np.isnan(expected)).tolist()
        if not unknown:
            return expected
        entrants = self._lineup.attacks if kind is Kind.ATTACK else self._lineup.consumers
        access = [None if entrant.duel is None else entrant.duel.access for entrant in entrants]
        same: defaultdict[int, list[float]] = defaultdict(list)
        alike: defaultdict[Access | None, list[float]] = defaultdict(list)
        longest: defaultdict[int | Access | None, float] = defaultdict(float)
        for entry, seconds in enumerate(expected.tolist()):
            who, now = entrants[entry].stored_id, running.get((kind, entry), 0.0)
            longest[who], longest[access[entry]] = max(longest[who], now), max(longest[access[entry]], now)
            if not math.isnan(seconds):
                same[who].append(seconds)
                alike[access[entry]].append(seconds)
        medians_same = {who: statistics.median(known) for who, known in same.items()}
        medians_alike = {one: statistics.median(known) for one, known in alike.items()}
        of_all = float(np.nanmedian(np.concatenate(list(self._expected.values()))))
        for entry in unknown:
            who, one = entrants[entry].stored_id, access[entry]
            if who in medians_same:
                expected[entry] = max(medians_same[who], running.get((kind, entry), 0.0))
            elif one in medians_alike:
                expected[entry] = max(medians_alike[one], longest[who])
            else:
                expected[entry] = max(of_all, longest[one])
        return expected

    def next(self) -> Task | None:
        """Take the next run from the board; None where nothing should start now."""
        task = self._for_an_open_program()
        for last_resort in (False, True) if task is None else ():
            for kind in (Kind.ATTACK, Kind.DEFENSE):
                for entry in self._board.with_ready(kind, self._by_expected_time(kind)):
                    if self._suits(kind, entry, last_resort=last_resort):
                        task = self._board.take(kind, entry)
                    if task is not None:
                        return task
        return task

    def _suits(self, kind: Kind, entry: int, *, last_resort: bool) -> bool:
        """Whether to take a run of this submission now; ``last_resort`` where no other submission has one.

        A second program of a submission is opened only when nothing else is left to do. A submission whose last run ended in
        a failure of the host waits for the others: if they fail too it is the host, and if they do not, one submission that
        brings the host to fail cannot take the slots from everybody else.
        """
        if self.is_left_out(kind, entry) or (not last_resort and self._is_suspect(kind, entry)):
            return False
        return not self._is_open(kind, entry) or (last_resort and self._worth_another(kind, entry))

    def _for_an_open_program(self) -> Task | None:
        """The next batch for the open program that has the least waiting for it (one running, one staged at most)."""
        best: tuple[int, Kind, int] | None = None
        for kind, entry in self._serving:
            digest = self._digest(kind, entry)
            waiting = self._active[digest]
            room = 2 * self._open.get(digest, 0) - waiting
            if self._is_suspect(kind, entry):
                continue
            if room > 0 and (best is None or waiting < best[0]) and self._board.ready(kind, entry):
                best = waiting, kind, entry
        return self._board.take(best[1], best[2]) if best is not None else None

    def _is_open(self, kind: Kind, entry: int) -> bool:
        entrant = self._lineup.entrant(kind, entry)
        return entrant.served and self._active[entrant.program.digest] > 0

    def _worth_another(self, kind: Kind, entry: int) -> bool:
        """Whether what is left for a submission would keep a second program busy for longer than starting it takes."""
        left_s = self._board.ready(kind, entry) * self._expected[kind][entry]
        return bool(left_s > WORTH_ANOTHER_S)  # unknown (NaN) is not: the first program is still showing how long it takes

    def _digest(self, kind: Kind, entry: int) -> str:
        return self._lineup.entrant(kind, entry).program.digest

    def _by_expected_time(self, kind: Kind) -> list[int]:
        order = self._order.get(kind)
        if order is None:
            # Unknown counts as longest: better to learn it early.
            expected = np.nan_to_num(self._expected[kind], nan=math.inf)
            order = self._order[kind] = np.argsort(-expected, kind="stable").tolist()
        return order
