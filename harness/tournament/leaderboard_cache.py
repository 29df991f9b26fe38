"""Leaderboards that were computed already: kept in the store until a result changes.

At contest size a leaderboard reads 891,000 rows and resamples 5,000 images; opening the finished table again should not. A kept
table is used only while everything that it follows from is the same: the counter of results, the members, rules, data set and
conditions of the round, and the version of this program. A tournament that still runs changes all the time, so only complete
ones are kept. Nothing is lost where a summary cannot be written: it is computed again.

What only computing needs (data set, scheduler, sandboxes' types) is imported there: opening a kept table would otherwise spend
most of its time on imports.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import zstandard

from harness import __version__
from harness.config import TournamentConfig
from harness.errors import StoreError, UnknownNameError
from harness.scoring import RESAMPLES, SEED, RunCounts, View
from harness.scoring.leaderboard import Leaderboard, Row, build_leaderboards
from harness.store import rounds, summaries
from harness.store.counters import results_version
from harness.store.database import is_there
from harness.store.facade import Store, Transaction
from harness.store.values import StoredRound

if TYPE_CHECKING:
    from harness.dataset.load import Dataset
    from harness.tournament.tournament import Tournament

#: Raised when scoring or the kept form changes without a new version of the program.
_FORM = 6


def kept_leaderboard(config: TournamentConfig, view: View, round_name: str | None = None) -> Leaderboard | None:
    """The cached table of a round if it is still valid.

    Raises:
        StoreError: The database cannot be used.
    """
    if not is_there(config.database):
        return None
    with closing(Store(config.state, create=False)) as store, store.read() as transaction:
        try:
            row = rounds.find(transaction, round_name)
        except UnknownNameError:
            return None
        return _kept(transaction, _name(row, view), results_version(transaction),
                     _basis(transaction, row, config.sandbox.isolation))


def load_leaderboards(tournament: Tournament, dataset: Callable[[], Dataset], views: tuple[View, ...] = (View.STANDARD,),
                      round_name: str | None = None) -> dict[View, Leaderboard]:
    """The tables of a round, kept ones where they still hold.

    Args:
        tournament: Open.
        dataset: Loads the round's data set; called only where a table has to be computed.
        views: The score views wanted.
        round_name: The newest round by default.

    Raises:
        UnknownNameError: There is no such round.
        DatasetError: The round was made with another data set.
    """
    from harness.tournament.results import load_results  # noqa: PLC0415 - see above

    with tournament.store.read() as transaction:
        row = rounds.find(transaction, round_name)
        version = results_version(transaction)
        basis = _basis(transaction, row, tournament.config.sandbox.isolation)
        boards = {view: _kept(transaction, _name(row, view), version, basis) for view in views}
    found = {view: board for view, board in boards.items() if board is not None}
    if missing := [view for view in views if view not in found]:
        results = load_results(tournament, dataset(), round_name)
        made = build_leaderboards(results, missing)
        found |= made
        if results.runs.done == results.runs.total:
            _keep(tournament, version, basis, {_name(row, view): board for view, board in made.items()})
    return {view: found[view] for view in views}


def _name(row: StoredRound, view: View) -> str:
    return f"leaderboard {row.id} {view}"


def _basis(transaction: Transaction, row: StoredRound, isolation: str) -> str:
    """Digest of all that a table follows from, beside the results."""
    members = [(m.id, m.name, m.team, m.type, m.baseline, m.serves) for m in rounds.members(transaction, row.id)]
    facts = [_FORM, __version__, RESAMPLES, SEED, row.tournament, row.name, row.dataset_digest, row.rules, row.conditions_id,
             row.served_conditions_id, row.own_conditions, isolation, members]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _kept(transaction: Transaction, name: str, version: int, basis: str) -> Leaderboard | None:
    data = summaries.kept(transaction, name, version)
    if data is None:
        return None
    try:
        found = json.loads(zstandard.ZstdDecompressor().decompress(data))
        return _from_json(found["board"]) if found["basis"] == basis else None
    except (zstandard.ZstdError, ValueError, KeyError, TypeError):
        return None  # written by another form of this program: computed again


def _keep(tournament: Tournament, version: int, basis: str, boards: Mapping[str, Leaderboard]) -> None:
    """Keep leaderboards by name."""
    compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
    found = {name: compressor.compress(json.dumps({"basis": basis, "board": board.to_json()}).encode())
             for name, board in boards.items()}
    # A reader without write permission, or next to a writer, still gets its table.
    with contextlib.suppress(StoreError), tournament.store.write() as transaction:
        summaries.keep(transaction, version, found)


def _from_json(data: dict[str, Any]) -> Leaderboard:
    tracks = {track: tuple(Row.from_json(row) for row in rows) for track, rows in data["tracks"].items()}
    return Leaderboard(data["tournament"], data["round"], View(data["scoring"]), data["images"], RunCounts(**data["runs"]),
                       tracks)
