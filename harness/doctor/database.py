"""The tournament's database: what SQLite finds wrong with it, and answers that are no longer what was stored."""

from __future__ import annotations

from pathlib import Path

from harness.config import TournamentConfig
from harness.doctor.check import Check
from harness.errors import StoreError
from harness.store import damage
from harness.store.database import is_there
from harness.store.inspection import in_use, inspect, standing


def database(config: TournamentConfig) -> list[Check]:
    """The verdict on it; none where nothing has been run yet."""
    path = config.database
    try:
        if not is_there(path):
            return []
        open_before = in_use(path)
        found = _look(path)
        # Somebody may have begun to write meanwhile, in a file that was taken for one at rest.
        return _look(path) if not open_before and in_use(path) else found
    except StoreError as error:
        return [Check("database", "fail", error.problem, error.next_step)]


def _look(path: Path) -> list[Check]:
    with inspect(path) as transaction:
        if wrong := damage.malformed(transaction):
            return [Check("database", "fail", f"{path} is damaged ({wrong[0]})", "Restore it from a copy.")]
        form = standing(transaction, path)
        if form == "empty":
            return []
        if form == "earlier":
            return [Check("database", "warn", f"{path} is of an earlier harness; the next command migrates it",
                          "Copy it before, if the earlier harness is to read it again.")]
        count = len(damage.damaged(transaction))
    if count:
        what = f"{count} stored {'answer is' if count == 1 else 'answers are'} damaged, and count for nothing"
        return [Check("database", "warn", what, "Look at the disk, then `harness run`: it makes them again.")]
    return [Check("database", "ok", str(path))]
