"""Drop results on request, so that their runs are run again (`harness run --fresh`)."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, delete, func, select

from harness.store import counters, round_state
from harness.store.facade import Transaction
from harness.store.models import AttemptRow, CounterRow, InputRow, RunRow


def forget(transaction: Transaction, submissions: Collection[int], *, batch: int | None = None, clean: bool = False,
           made_by: int | None = None, on: Collection[int] | None = None) -> None:
    """Drop results, of any round: what is shared is run once, for all that share it.

    Args:
        transaction: To write in.
        submissions: Whose, by id.
        batch: Only those on inputs of this batch, by id.
        clean: Only those on unchanged images.
        made_by: Only those on what this attack made, by id, or on halves of that.
        on: Only those on these inputs, by id.
    """
    session = transaction.session
    narrowed = [RunRow.submission_id.in_(submissions)]
    if batch is not None:
        narrowed.append(RunRow.input_id.in_(select(InputRow.id).where(InputRow.batch_id == batch)))
    if clean:
        narrowed.append(RunRow.input_id.in_(select(InputRow.id).where(InputRow.kind == "clean")))
    if made_by is not None:
        narrowed.append(RunRow.input_id.in_(_made_by(transaction, made_by)))
    if on is not None:
        narrowed.append(RunRow.input_id.in_(_listed(on)))
    next_run, _ = round_state.next_ids(transaction)
    session.merge(CounterRow(name="last_run", value=next_run - 1))
    session.execute(delete(AttemptRow).where(AttemptRow.run_id.in_(select(RunRow.id).where(*narrowed))))
    session.execute(delete(RunRow).where(*narrowed))
    counters.results_changed(transaction)


def _made_by(transaction: Transaction, attack: int) -> Select[Any]:
    """Ids of the inputs that an attack made, and of their halves."""
    query = select(RunRow.output_id).where(RunRow.submission_id == attack, RunRow.output_id.is_not(None))
    made = {found for found in transaction.session.scalars(query) if found is not None}
    made |= {half for half, source in round_state.halves_of(transaction).items() if source in made}
    return _listed(made)


def _listed(inputs: Collection[int]) -> Select[Any]:
    # One parameter, however many: SQLite takes 32,766 at most.
    ids = func.json_each(json.dumps(sorted(inputs))).table_valued("value")
    return select(ids.c.value)
