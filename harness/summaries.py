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
from typing import TYPE_CHECKING, Any

import zstandard
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from harness import __version__
from harness.config import TournamentConfig
from harness.leaderboard import Leaderboard, Row, build_leaderboards
from harness.scoring import RESAMPLES, SEED, RunCounts, View
from harness.store.database import explain, open_database, results_version
from harness.store.models import RoundRow, RoundSubmissionRow, SubmissionRow, SummaryRow

if TYPE_CHECKING:
    from harness.dataset import Dataset
    from harness.tournament import Tournament

#: Raised when scoring or the kept form changes without a new version of the program.
_FORM = 2


def kept_leaderboard(config: TournamentConfig, view: View, round_name: str | None = None) -> Leaderboard | None:
    """The table of a round if it is kept and still holds.

    Raises:
        StoreError: The database cannot be used.
    """
    if not config.database.exists():
        return None
    database = open_database(config.database, create=False)
    try:
        with explain(config.database), Session(database) as session:
            query = select(RoundRow).order_by(RoundRow.id.desc()).limit(1)
            row = session.scalars(query if round_name is None else query.where(RoundRow.name == round_name)).one_or_none()
            if row is None:
                return None
            return _kept(session, _name(row, view), results_version(session), _basis(session, row, config.sandbox.isolation))
    finally:
        database.dispose()


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
    from harness.standings import load_results  # noqa: PLC0415 - see above
    from harness.store import registry  # noqa: PLC0415

    with tournament.session() as session:
        row = registry.find_round(session, round_name)
        version = results_version(session)
        basis = _basis(session, row, tournament.config.sandbox.isolation)
        boards = {view: _kept(session, _name(row, view), version, basis) for view in views}
    found = {view: board for view, board in boards.items() if board is not None}
    if missing := [view for view in views if view not in found]:
        results = load_results(tournament, dataset(), round_name)
        made = build_leaderboards(results, missing)
        found |= made
        if results.runs.done == results.runs.total:
            _keep(tournament, version, basis, {_name(row, view): board for view, board in made.items()})
    return {view: found[view] for view in views}


def _name(row: RoundRow, view: View) -> str:
    return f"leaderboard {row.id} {view}"


def _basis(session: Session, row: RoundRow, isolation: str) -> str:
    """Digest of all that a table follows from, beside the results."""
    found = session.execute(
        select(SubmissionRow.id, SubmissionRow.name, SubmissionRow.team, SubmissionRow.type, SubmissionRow.baseline,
               SubmissionRow.serves)
        .join(RoundSubmissionRow, RoundSubmissionRow.submission_id == SubmissionRow.id)
        .where(RoundSubmissionRow.round_id == row.id).order_by(SubmissionRow.id))
    members = [tuple(member) for member in found]
    facts = [_FORM, __version__, RESAMPLES, SEED, row.tournament, row.name, row.dataset_digest, row.rules, row.conditions_id,
             row.served_conditions_id, isolation, members]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _kept(session: Session, name: str, version: int, basis: str) -> Leaderboard | None:
    summary = session.get(SummaryRow, name)
    if summary is None or summary.version != version:
        return None
    try:
        data = json.loads(zstandard.ZstdDecompressor().decompress(summary.data))
        return _from_json(data["board"]) if data["basis"] == basis else None
    except (zstandard.ZstdError, ValueError, KeyError, TypeError):
        return None  # written by another form of this program: computed again


def _keep(tournament: Tournament, version: int, basis: str, boards: Mapping[str, Leaderboard]) -> None:
    """Keep leaderboards by name."""
    compressor = zstandard.ZstdCompressor(level=3)
    kept = [SummaryRow(name=name, version=version,
                       data=compressor.compress(json.dumps({"basis": basis, "board": board.to_json()}).encode()))
            for name, board in boards.items()]
    # A reader without the right to write, or one beside a writer, has its table all the same.
    with contextlib.suppress(SQLAlchemyError), tournament.session() as session, session.begin():
        for summary in kept:
            session.merge(summary)


def _from_json(data: dict[str, Any]) -> Leaderboard:
    tracks = {track: tuple(Row.from_json(row) for row in rows) for track, rows in data["tracks"].items()}
    return Leaderboard(data["tournament"], data["round"], View(data["scoring"]), data["images"], RunCounts(**data["runs"]),
                       tracks)
