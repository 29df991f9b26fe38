"""Served runs looked at again in fresh containers.

With ``isolation: submission`` a program could remember what it saw in earlier batches. ``rules.audit`` names a share of served
runs that are run once more in a fresh container; where the two disagree the fresh one is repeated, because a program that uses
random numbers disagrees with itself. What is left - two fresh runs agree, the served one does not - is a program whose answers
depend on what it was shown before. Which runs are audited follows from a digest and from a secret of this database: a program,
which could compute any digest of what it is and sees, cannot know it, and a resumed audit takes the same ones.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from harness.config import Rules
from harness.contestants import Books, Contestant, Field
from harness.plan import DONE, DROPPED, WAITING, Board, Kind, Task
from harness.store import registry, round_state
from harness.store.models import DONE as RUN_DONE
from harness.store.models import ConditionsRow, CounterRow, InputRow, RoundRow, RunRow
from harness.tournament import Round, Tournament

#: Shown beside the name of a submission whose served answers depend on earlier batches.
MARK = "(audit!)"


@dataclass(frozen=True)
class Finding:
    """What the audit of one submission found.

    Attributes:
        audited: Served runs that were run again in a fresh container.
        same: Those with the same result.
        randomised: Those where two fresh runs disagreed with each other as well.
        differs: Those where two fresh runs agreed and the served one did not.
        undecided: Those that disagree and wait for the second fresh run.
    """

    audited: int = 0
    same: int = 0
    randomised: int = 0
    differs: int = 0
    undecided: int = 0


def plan_audit(tournament: Tournament, round_: Round, repeat: int) -> Round | None:
    """The fresh runs that an audit still needs, as a round of their own; None where it needs none.

    Args:
        tournament: Open.
        round_: The served round, complete.
        repeat: 1 for the first fresh run of each sampled one, 2 for the second of those that disagreed.
    """
    with tournament.session() as session, session.begin():
        row = registry.find_round(session, round_.name)
        # A named round keeps the rules that it was made with.
        share = Rules.stored(row.rules).audit
        if not share:
            return None
        conditions = _fresh_conditions(session, row)[repeat]
        wanted = _sampled(round_, share, _secret(session)) if repeat == 1 else _disagreeing(session, row, round_)
        field = replace(round_.field, attacks=_fresh(round_.field.attacks, conditions),
                        defenses=_fresh(round_.field.defenses, conditions))
        board = _listed_board(session, round_.board, field, wanted)
        if board is None:
            return None
        next_run, next_input = round_state.next_ids(session.connection())
        unfinished = {(s, i): where for (s, i, c), where in round_state.unfinished_runs(session.connection()).items()
                      if c == conditions}
        known = {(p.batch, p.digest) for p in board.inputs}
        shelved = {key: held for key, held in round_.books.shelved.items() if key not in known}
        return Round(round_.name, field, board, Books(next_run, next_input, unfinished, {}, shelved))


def _fresh_conditions(session: Session, row: RoundRow) -> dict[int, int]:
    """Repeat to conditions: the first fresh run is recorded as any run of ``isolation: run`` would be."""
    return {1: row.conditions_id, 2: registry.ensure_conditions(session, _second(session, row))}


def _second(session: Session, row: RoundRow) -> dict[str, object]:
    text = session.get_one(ConditionsRow, row.conditions_id).text
    return {**json.loads(text), "repeat": 2}


def _fresh(contestants: Iterable[Contestant], conditions: int) -> tuple[Contestant, ...]:
    return tuple(replace(c, served=False, conditions_id=conditions) for c in contestants)


def _secret(session: Session) -> int:
    """Drawn once for each database."""
    row = session.get(CounterRow, "audit")
    if row is None:
        row = CounterRow(name="audit", value=secrets.randbits(63))
        session.add(row)
        session.flush()
    return row.value


def _sampled(round_: Round, share: float, secret: int) -> list[Task]:
    """The served runs to look at."""
    board, field = round_.board, round_.field
    tasks = [Task(Kind.ATTACK, int(a), int(b)) for a, b in np.argwhere(board.attack_state == DONE) if field.attacks[a].served]
    known = board.defense_state[: len(board.inputs)]
    tasks += [Task(Kind.DEFENSE, int(d), int(i)) for i, d in np.argwhere(known == DONE) if field.defenses[d].served]
    return [task for task in tasks if _draw(round_, task, secret) < share]


def _draw(round_: Round, task: Task, secret: int) -> float:
    contestants = round_.field.attacks if task.kind is Kind.ATTACK else round_.field.defenses
    source = (round_.field.batches[task.item].task_digest if task.kind is Kind.ATTACK
              else round_.board.inputs[task.item].digest)
    text = f"audit {secret} {contestants[task.entry].program.digest} {source}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _listed_board(session: Session, main: Board, field: Field, wanted: list[Task]) -> Board | None:
    """A board on which only the wanted runs wait that have no result yet."""
    board = Board(main.attacks, main.defenses, main.inputs[: main.batches], labelled="listed")
    for planned in main.inputs[main.batches:]:
        board.add_input(planned)
    board.attack_state[:] = DROPPED
    contestants = (*field.attacks, *field.defenses)
    pairs = [(c.stored_id, c.conditions_id) for c in contestants]
    done = {(int(s), int(i)) for s, i, *_ in round_state.done_runs(session.connection(), pairs)}
    waiting = 0
    for task in wanted:
        attack = task.kind is Kind.ATTACK
        stored = field.attacks[task.entry].stored_id if attack else field.defenses[task.entry].stored_id
        source = field.task_input_ids[task.item] if attack else board.inputs[task.item].stored_id
        if (stored, source) not in done:
            waiting += 1
            if attack:
                board.attack_state[task.entry, task.item] = WAITING
            else:
                board.defense_state[task.item, task.entry] = WAITING
    board.list_ready()
    return board if waiting else None


def _disagreeing(session: Session, row: RoundRow, round_: Round) -> list[Task]:
    conditions = _fresh_conditions(session, row)
    attack_of = {c.stored_id: n for n, c in enumerate(round_.field.attacks)}
    defense_of = {c.stored_id: n for n, c in enumerate(round_.field.defenses)}
    item_of = {stored: n for n, stored in enumerate(round_.field.task_input_ids)}
    index_of = {planned.stored_id: n for n, planned in enumerate(round_.board.inputs)}
    tasks = []
    for submission, source in _differences(session, row.served_conditions_id, conditions[1]):
        if submission in attack_of and source in item_of:
            tasks.append(Task(Kind.ATTACK, attack_of[submission], item_of[source]))
        elif submission in defense_of and source in index_of:
            tasks.append(Task(Kind.DEFENSE, defense_of[submission], index_of[source]))
    return tasks


_Answer = tuple[str, int, bytes]


def _answers(session: Session, conditions: int, only: Iterable[int] | None = None) -> dict[tuple[int, int], _Answer]:
    """(submission, input) to what a run answered, under some conditions."""
    query = select(RunRow.submission_id, RunRow.input_id, RunRow.outcome, RunRow.output_id, RunRow.labels).where(
        RunRow.conditions_id == conditions, RunRow.state == RUN_DONE)
    if only is not None:
        query = query.where(RunRow.input_id.in_(list(only)))
    return {(s, i): (str(outcome), output or 0, labels or b"") for s, i, outcome, output, labels in session.execute(query)}


def _differences(session: Session, served: int, fresh: int) -> list[tuple[int, int]]:
    again = _answers(session, fresh)
    before = _answers(session, served, {source for _, source in again})
    return [key for key, answer in again.items() if key in before and before[key] != answer]


def findings(session: Session, row: RoundRow) -> dict[str, Finding]:
    """What audits have found so far, by submission name."""
    rules = Rules.stored(row.rules)
    if not rules.audit:
        return {}
    # Looked up, not made: this is for reading, perhaps beside a running harness.
    again = registry.find_conditions(session, _second(session, row))
    first, second = _answers(session, row.conditions_id), {} if again is None else _answers(session, again)
    served = _answers(session, row.served_conditions_id, {source for _, source in first})
    # Of this round's versions only: what an older one did says nothing of its successor.
    names = {s.id: s.name for s in registry.round_submissions(session, row.id) if s.serves}
    batches = {b.id for b in registry.round_batches(session, row.id)}
    inputs = set(session.scalars(select(InputRow.id).where(InputRow.batch_id.in_(batches))))
    found: dict[str, Finding] = {}
    for key, answer in first.items():
        if key in served and key[0] in names and key[1] in inputs:
            before = found.get(names[key[0]], Finding())
            found[names[key[0]]] = _add(before, served[key], answer, second.get(key))
    return found


def _add(before: Finding, served: _Answer, first: _Answer, second: _Answer | None) -> Finding:
    audited = replace(before, audited=before.audited + 1)
    if served == first:
        return replace(audited, same=audited.same + 1)
    if second is None:
        return replace(audited, undecided=audited.undecided + 1)
    if first != second:
        return replace(audited, randomised=audited.randomised + 1)
    return replace(audited, differs=audited.differs + 1)
