"""Served runs repeated in fresh containers.

With ``isolation: submission`` a program could remember what it saw in earlier batches. ``rules.audit`` names a share of served
runs, and at least four of every program, that are run again in a fresh container. Where the two differ the fresh run is
repeated: while the served answer stays the odd one out, up to nine fresh ones. A program is marked when that has happened so often
that chance does not explain it (``odd_one_out``): one random answer a batch hides nothing, and a program that is only random is not
accused. A suspect's share is doubled until it is marked, or no suspect any more, or all its served runs were audited.

Which runs are audited follows from a digest and from a secret of this database: a program, which could compute any digest of what
it is and sees, cannot know it, and a resumed audit takes the same ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.config import Rules
from harness.dataset.load import Batch, Dataset
from harness.formats.answers import reader_named
from harness.formats.images import sums_of_differences
from harness.sandbox.outcomes import Outcome
from harness.scheduling.board import DONE, DROPPED, WAITING, Board, Kind, Task
from harness.scheduling.entrants import Entrant, StoreState
from harness.scoring import odd_one_out
from harness.store import counters, round_state, rounds, summaries
from harness.store.artifacts import ArtifactStore, CorruptArtifactError
from harness.store.facade import Transaction
from harness.store.round_state import Answer
from harness.store.values import StoredRound
from harness.tournament.round_loader import Round
from harness.tournament.tournament import Tournament
from harness.tracks import TRACKS, Access, Answers, Track

#: Shown beside the name of a submission whose served answers depend on earlier batches.
MARK = "(audit!)"
#: Fresh runs after which the served answer is first tested for being the odd one: an honest program's mostly is not.
_FIRST_LOOK = 2
#: How a run may end whose answer is compared. Others were cut off by a limit or never began, and a fresh run, which loads its model
#: within its time, meets the limit where a served one does not.
_COMPARED = frozenset({Outcome.OK, Outcome.EXITED_NONZERO, Outcome.BAD_OUTPUT, Outcome.NO_OUTPUT})
#: What was computed from outputs depends on these alone.
_FOR_EVER = 0


@dataclass(frozen=True)
class Finding:
    """What the audit of one submission found.

    Attributes:
        audited: Served runs that were run again in a fresh container.
        same: Those with the same result.
        randomised: Those whose served result differed from a fresh one no more than fresh ones from each other.
        differs: Those where the served result was the odd one of ten.
        uncompared: Those where a limit cut one of the runs off.
        undecided: Those that differ and wait for further fresh runs.
    """

    audited: int = 0
    same: int = 0
    randomised: int = 0
    differs: int = 0
    uncompared: int = 0
    undecided: int = 0

    @property
    def _odds(self) -> tuple[int, int]:
        return self.differs, self.same + self.randomised + self.differs

    @property
    def marked(self) -> bool:
        """Whether its answers depend on earlier batches, beyond what chance explains."""
        return odd_one_out.proves_memory(*self._odds)

    @property
    def suspect(self) -> bool:
        """Whether more runs should be audited."""
        return not self.marked and odd_one_out.log_evidence(*self._odds) > 0


class _Verdict(Enum):
    """What the runs on one input say; the names are ``Finding``'s."""

    SAME = "same"
    CHANCE = "randomised"
    ODD = "differs"
    UNCOMPARED = "uncompared"
    OPEN = "undecided"


_DISTANCES: Mapping[Answers, Callable[[Sequence[NDArray[Any]]], NDArray[np.int64]]] = {
    Answers.LABELS: odd_one_out.label_distances, Answers.SCORES: odd_one_out.score_distances}

_Key = tuple[int, int]
#: Whether the first of several answers to one input is the odd one; None where that was not computed yet.
_IsOdd = Callable[[Sequence[Answer]], bool | None]


@dataclass(frozen=True)
class _Case:
    """One served run with the fresh runs that it has been compared with.

    Attributes:
        needs: The fresh run that is wanted next, 0 where there is none.
        asked: The answers of which nobody has computed yet whether the first is the odd one.
    """

    verdict: _Verdict
    needs: int = 0
    asked: tuple[Answer, ...] = ()


class _Answers:
    """The served and the fresh answers of a round's audit, by (submission id, input id)."""

    def __init__(self, transaction: Transaction, row: StoredRound) -> None:
        self.fresh: list[dict[_Key, Answer]] = [{} for _ in range(1, odd_one_out.RUNS)]
        self.served: dict[_Key, Answer] = {}
        self._tracks: dict[int, Track] = {}
        members: dict[tuple[int, int], set[int]] = {}
        for member in rounds.members(transaction, row.id):
            self._tracks[member.id] = TRACKS[member.type]
            members.setdefault(row.both_conditions_of(member), set()).add(member.id)
        for (once, served), those in members.items():
            for repeat, answers in enumerate(self.fresh, 1):
                # Looked up, not made: this also serves readers, perhaps while a harness runs.
                known = once if repeat == 1 else rounds.find_conditions(transaction, _repeated(transaction, once, repeat))
                answers.update({} if known is None else _of(those, round_state.answers(transaction, known)))
            inputs = {source for submission, source in self.fresh[0] if submission in those}
            self.served |= _of(those, round_state.answers(transaction, served, inputs))

    def cases(self, transaction: Transaction) -> Iterator[tuple[_Key, _Case]]:
        """Every audited run with what is known of it."""
        for key in self.fresh[0]:
            if key in self.served:
                fresh = [answers.get(key) for answers in self.fresh]
                track = self._tracks[key[0]]
                yield key, _case(self.served[key], fresh, partial(_known, transaction, track))


def _of(members: Collection[int], answers: Mapping[_Key, Answer]) -> dict[_Key, Answer]:
    return {key: answer for key, answer in answers.items() if key[0] in members}


def _case(served: Answer, fresh: Sequence[Answer | None], is_odd: _IsOdd) -> _Case:
    answers = [served]
    for repeat, answer in enumerate(fresh, 1):
        if answer is None:
            return _Case(_Verdict.OPEN, needs=repeat)
        answers.append(answer)
        if (answers[1].output_id, answers[1].answers) == (served.output_id, served.answers):
            return _Case(_Verdict.SAME)
        if not _COMPARED.issuperset((served.outcome, answer.outcome)):
            return _Case(_Verdict.UNCOMPARED)
        if repeat in (_FIRST_LOOK, len(fresh)):
            odd = is_odd(answers)
            if odd is None:
                return _Case(_Verdict.OPEN, asked=tuple(answers))
            if not odd:
                return _Case(_Verdict.CHANCE)
    return _Case(_Verdict.ODD)


def _repeated(transaction: Transaction, once: int, repeat: int) -> dict[str, object]:
    """The first fresh run is recorded as any run of ``isolation: run`` would be, each further one under conditions of its own."""
    return {**rounds.conditions(transaction, once), "repeat": repeat}


def findings(transaction: Transaction, row: StoredRound) -> dict[str, Finding]:
    """What audits have found so far, by submission name."""
    return _findings(transaction, row, _Answers(transaction, row)) if Rules.stored(row.rules).audit else {}


def _findings(transaction: Transaction, row: StoredRound, answers: _Answers) -> dict[str, Finding]:
    # Of this round's versions only: what an older one did says nothing of its successor.
    names = {s.id: s.name for s in rounds.members(transaction, row.id) if s.serves}
    inputs = round_state.input_ids(transaction, rounds.batches(transaction, row.id))
    found: dict[str, Finding] = {}
    for (submission, source), case in answers.cases(transaction):
        if submission in names and source in inputs:
            before, what = found.get(names[submission], Finding()), case.verdict.value
            found[names[submission]] = replace(before, audited=before.audited + 1, **{what: getattr(before, what) + 1})
    return found


def _known(transaction: Transaction, track: Track, answers: Sequence[Answer]) -> bool | None:
    """Labels and scores are compared as they lie there; what was computed of images was kept."""
    if track.answers is not None and (size := max(len(answer.answers) for answer in answers)):
        none = reader_named(track.reader or "")(b"", [None] * (size // np.dtype(track.answers.value).itemsize)).answers.stored()
        return odd_one_out.is_odd(_DISTANCES[track.answers](
            [np.frombuffer(answer.answers or none, track.answers.value) for answer in answers]))
    kept = summaries.kept(transaction, _kept_name(answers), _FOR_EVER)
    return None if kept is None else kept == b"odd"


def _kept_name(answers: Sequence[Answer]) -> str:
    """Rows of outputs are never changed, so what was computed of these holds for ever."""
    return f"audit {' '.join(str(answer.output_id) for answer in answers)}"


def plan_audit(tournament: Tournament, dataset: Dataset, round_: Round, asked: set[tuple[int, int, int]]) -> Round | None:
    """The fresh runs that an audit needs next, as a round of their own; None where it needs none.

    Args:
        tournament: Open.
        dataset: The round's, to compare what attacks made.
        round_: The served round, complete.
        asked: The fresh runs that were wanted before, which are added to: one that the host could not run is not wanted again.
    """
    with tournament.store.write() as transaction:
        row = rounds.find(transaction, round_.name)
        # A named round keeps the rules that it was made with.
        if not Rules.stored(row.rules).audit:
            return None
        answers = _Answers(transaction, row)
        _compare_images(transaction, answers, round_, dataset, tournament.artifacts)
        repeat, wanted = _wanted(transaction, row, answers, round_, asked)
        if not wanted:
            return None
        conditions = _fresh_conditions(transaction, row, repeat)
        lineup = replace(round_.lineup, attacks=_fresh(round_.lineup.attacks, conditions),
                        defenses=_fresh(round_.lineup.defenses, conditions),
                        detectors=_fresh(round_.lineup.detectors, conditions))
        board = _listed_board(round_.board, wanted)
        next_run, next_input = round_state.next_ids(transaction)
        unfinished = {(s, i): where for (s, i, c), where in round_state.unfinished_runs(transaction).items()
                      if c == conditions.get(s)}
        known = {(p.batch, p.digest) for p in board.inputs}
        known_inputs = {key: held for key, held in round_.store_state.known_inputs.items() if key not in known}
        return Round(round_.name, lineup, board, StoreState(next_run, next_input, unfinished, {}, known_inputs))


def _fresh_conditions(transaction: Transaction, row: StoredRound, repeat: int) -> dict[int, int]:
    """The conditions that a member's fresh runs are recorded under, by its id: on another base image they are others."""
    once = {member.id: row.both_conditions_of(member)[0] for member in rounds.members(transaction, row.id)}
    if repeat == 1:
        return once
    again = {these: rounds.ensure_conditions(transaction, _repeated(transaction, these, repeat)) for these in set(once.values())}
    return {member: again[these] for member, these in once.items()}


def _fresh(entrants: Iterable[Entrant], conditions: Mapping[int, int]) -> tuple[Entrant, ...]:
    return tuple(replace(c, served=False, conditions_id=conditions[c.stored_id]) for c in entrants)


def _wanted(transaction: Transaction, row: StoredRound, answers: _Answers, round_: Round,
            asked: set[tuple[int, int, int]]) -> tuple[int, list[Task]]:
    """Which fresh run is wanted next, counted from 1, and of which served runs."""
    served = {_key(round_, task): task for task in _served(round_)}
    cases = {key: case for key, case in answers.cases(transaction) if key in served}
    needs = {key: case.needs for key, case in cases.items() if case.needs and (*key, case.needs) not in asked}
    repeat = min(needs.values(), default=1)
    keys = {key for key, needed in needs.items() if needed == repeat} or {
        key for key in _sample(transaction, row, answers, round_, served) if key not in cases and (*key, 1) not in asked}
    asked |= {(*key, repeat) for key in keys}
    return repeat, [task for key, task in served.items() if key in keys]


def _sample(transaction: Transaction, row: StoredRound, answers: _Answers, round_: Round, served: Mapping[_Key, Task]) -> set[_Key]:
    """The runs to audit: the share that the rules name, enough to prove something, of a suspect twice as many as before."""
    share, secret = Rules.stored(row.rules).audit, counters.secret(transaction, "audit")
    draws = {key: _draw(round_, task, secret) for key, task in served.items()}
    sample = {key for key, draw in draws.items() if draw < share}
    found = _findings(transaction, row, answers)
    for entrant in (*round_.lineup.attacks, *round_.lineup.consumers):
        finding = found.get(entrant.name, Finding())
        own = sorted((key for key in served if key[0] == entrant.stored_id), key=draws.__getitem__)
        sample.update(own[: 2 * finding.audited if finding.suspect else odd_one_out.FEWEST])
    return sample


def _served(round_: Round) -> list[Task]:
    """The served runs of a round."""
    board, lineup = round_.board, round_.lineup
    tasks = [Task(Kind.ATTACK, int(a), int(b)) for a, b in np.argwhere(board.attack_state == DONE)
             if lineup.attacks[a].served and not _queries(lineup.attacks[a])]
    known = board.defense_state[: len(board.inputs)]
    return tasks + [Task(Kind.DEFENSE, int(d), int(i)) for i, d in np.argwhere(known == DONE) if lineup.consumers[d].served]


def _queries(attack: Entrant) -> bool:
    """Whether an attack asks its opponent: that is the work of two programs, and neither can be run afresh without the other."""
    return attack.duel is not None and attack.duel.access is Access.QUERY


def _key(round_: Round, task: Task) -> _Key:
    attack = task.kind is Kind.ATTACK
    source = round_.lineup.task(task.entry, task.item)[1] if attack else round_.board.inputs[task.item].stored_id
    return round_.lineup.entrant(task.kind, task.entry).stored_id, source


def _draw(round_: Round, task: Task, secret: int) -> float:
    source = (round_.lineup.task_digest(task.entry, task.item) if task.kind is Kind.ATTACK
              else round_.board.inputs[task.item].digest)
    text = f"audit {secret} {round_.lineup.entrant(task.kind, task.entry).program.digest} {source}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _listed_board(main: Board, wanted: list[Task]) -> Board:
    """A board on which only the wanted runs wait."""
    board = Board(main.attacks, main.defenses, main.inputs[: main.batches], labelled="listed", detectors=main.detectors,
                  opponents=main.opponents)
    for planned in main.inputs[main.batches:]:
        board.add_input(planned)
    board.attack_state[:] = DROPPED
    for task in wanted:
        if task.kind is Kind.ATTACK:
            board.attack_state[task.entry, task.item] = WAITING
        else:
            board.defense_state[task.item, task.entry] = WAITING
    board.list_ready()
    return board


def _compare_images(transaction: Transaction, answers: _Answers, round_: Round, dataset: Dataset, artifacts: ArtifactStore) -> None:
    """Compute of what attacks made whether the served one is the odd one, and keep it: a leaderboard has no time to read images."""
    batch_of = {source: batch for entry in range(len(round_.lineup.attacks))
                for source, batch in zip(round_.lineup.given(entry), round_.lineup.batches, strict=True)}
    kept = 0
    for (_, source), case in answers.cases(transaction):
        if case.asked and source in batch_of:
            distances = _image_distances(transaction, case.asked, batch_of[source], dataset, artifacts)
            if distances is not None:
                found = b"odd" if odd_one_out.is_odd(distances) else b"chance"
                summaries.keep(transaction, _FOR_EVER, {_kept_name(case.asked): found})
                kept += 1
    if kept:
        # Marks may follow from it: a cached leaderboard is no longer valid.
        counters.results_changed(transaction)


def _image_distances(transaction: Transaction, answers: Sequence[Answer], batch: Batch, dataset: Dataset,
                     artifacts: ArtifactStore) -> NDArray[np.int64] | None:
    """How far each two outputs are apart, int64[k, k, n], summed over pixels; None where a file is damaged.

    The largest difference of a pixel would not do: one random pixel an image would hide all others.
    """
    clean = dataset.pixels(batch)
    outputs = {}
    for made in {answer.output_id for answer in answers}:
        digest = round_state.digest_of(transaction, made)
        try:
            outputs[made] = (clean, np.zeros(len(clean), bool)) if digest is None else artifacts.load(digest, clean)
        except CorruptArtifactError:
            return None
    found = np.zeros((len(answers), len(answers), len(clean)), np.int64)
    for row, one in enumerate(answers):
        for column, other in enumerate(answers[:row]):
            (pixels, there), (others, others_there) = outputs[one.output_id], outputs[other.output_id]
            # A missing image is farther away than any that exists.
            apart = np.where(there != others_there, 256 * clean[0].size, sums_of_differences(pixels, others))
            found[row, column] = found[column, row] = apart
    return found
