"""The tournament's database: what SQLite finds wrong with it, and answers that are no longer what was stored."""

from __future__ import annotations

from contextlib import closing

from harness.config import TournamentConfig
from harness.doctor.check import Check
from harness.errors import StoreError
from harness.store import damage
from harness.store.facade import Store


def database(config: TournamentConfig) -> list[Check]:
    """The verdict on it; none where nothing has been run yet."""
    if not config.database.exists():
        return []
    try:
        with closing(Store(config.state, create=False)) as store, store.read() as transaction:
            wrong = damage.malformed(transaction)
            count = 0 if wrong else len(damage.damaged(transaction))
    except StoreError as error:
        return [Check("database", "fail", error.problem, error.next_step)]
    if wrong:
        return [Check("database", "fail", f"{config.database} is damaged ({wrong[0]})", "Restore it from a copy.")]
    if count:
        what = f"{count} stored {'answer is' if count == 1 else 'answers are'} damaged, and count for nothing"
        return [Check("database", "warn", what, "Look at the disk, then `harness run`: it makes them again.")]
    return [Check("database", "ok", str(config.database))]
