"""A kept leaderboard equals a computed one, and is not used once anything that it follows from has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contest_size import STAGES
from benchmarks.synthetic import Size, make_tournament, read_tournament
from harness.scoring import View
from harness.scoring.leaderboard import build_leaderboard
from harness.store import summaries
from harness.store.counters import results_version
from harness.tournament.leaderboard_cache import kept_leaderboard, load_leaderboards
from harness.tournament.results import load_results
from harness.tournament.tournament import Fresh, Tournament
from tests.helpers import stored


class _Options:
    slots = 2

    def __init__(self, root: Path) -> None:
        self.root = root


@pytest.fixture
def tournament(tmp_path: Path):
    make_tournament(tmp_path, Size(attacks=5, defenses=3, batches=2, images_per_batch=10))
    with Tournament(read_tournament(tmp_path)) as opened:
        opened.submit_configured()
        STAGES["run"](_Options(tmp_path))  # type: ignore[arg-type]
        yield opened


def no_dataset():
    pytest.fail("the table was computed again")


def computed(tournament: Tournament, view: View = View.STANDARD) -> dict:
    return build_leaderboard(load_results(tournament, tournament.dataset()), view).to_json()


def test_a_kept_table_equals_a_computed_one_in_every_view(tournament: Tournament) -> None:
    first = load_leaderboards(tournament, tournament.dataset, tuple(View))
    second = load_leaderboards(tournament, no_dataset, tuple(View))
    assert first == second
    assert {view: kept_leaderboard(tournament.config, view) for view in View} == second
    assert {view: board.to_json() for view, board in second.items()} == {view: computed(tournament, view) for view in View}


def test_dropped_and_renamed_submissions_make_it_again(tournament: Tournament) -> None:
    load_leaderboards(tournament, tournament.dataset)
    with tournament.store.write() as transaction:
        stored.change_team(transaction, "a000", "another team")
    assert kept_leaderboard(tournament.config, View.STANDARD) is None
    assert load_leaderboards(tournament, tournament.dataset)[View.STANDARD].to_json() == computed(tournament)
    assert kept_leaderboard(tournament.config, View.STANDARD, "no such round") is None
    tournament.open_round(tournament.dataset(), sandbox="process", fresh=Fresh(["d001"]))
    board = load_leaderboards(tournament, tournament.dataset)[View.STANDARD]
    assert board.runs.done < board.runs.total
    assert board.to_json() == computed(tournament)
    assert load_leaderboards(tournament, tournament.dataset)[View.STANDARD] == board
    assert kept_leaderboard(tournament.config, View.STANDARD) is None, "an unfinished table is not kept"


def test_a_damaged_summary_is_computed_again(tournament: Tournament) -> None:
    board = load_leaderboards(tournament, tournament.dataset)
    with tournament.store.write() as transaction:
        summaries.keep(transaction, results_version(transaction), {f"leaderboard 1 {View.STANDARD}": b"not a summary"})
    assert kept_leaderboard(tournament.config, View.STANDARD) is None
    assert load_leaderboards(tournament, tournament.dataset) == board


def test_a_summary_of_which_a_bit_changed_is_computed_again(tournament: Tournament) -> None:
    board = load_leaderboards(tournament, tournament.dataset)[View.STANDARD]
    name = f"leaderboard 1 {View.STANDARD}"
    with tournament.read() as transaction:
        kept = summaries.kept(transaction, name, results_version(transaction))
    assert kept is not None
    for at in range(0, len(kept), 7):
        spoilt = bytearray(kept)
        spoilt[at] ^= 1 << at % 8
        with tournament.store.write() as transaction:
            summaries.keep(transaction, results_version(transaction), {name: bytes(spoilt)})
        assert kept_leaderboard(tournament.config, View.STANDARD) in (None, board)
