from __future__ import annotations

import csv
import io
import json

import pytest

from harness.report.files.sheets import Sheet, leaderboard_markdown, leaderboard_sheet, to_csv, to_json, to_markdown
from harness.report.show import show_leaderboard, show_matrix
from harness.scoring.leaderboard import build_leaderboard, build_matrix


def test_csv_reads_back_with_full_precision(results) -> None:
    board = build_leaderboard(results(), resamples=20)
    rows = list(csv.DictReader(io.StringIO(to_csv(leaderboard_sheet(board)))))
    entries = [row for track in board.tracks.values() for row in track]
    assert [(row["name"], float(row["score"]), int(row["rank"])) for row in rows] == [
        (entry.name, entry.score, entry.rank) for entry in entries]
    assert rows[0]["clean_accuracy"] == ""


def test_markdown_has_one_table_a_track(results) -> None:
    text = leaderboard_markdown(build_leaderboard(results(), resamples=20))
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## attack (standard)", "## targeted_attack (standard)", "## defense (standard)"]


def test_an_authors_text_cannot_end_a_markdown_cell() -> None:
    text = to_markdown([Sheet("", ("team", "n"), (("a|b\nc", 1),))])
    assert text.splitlines()[-1] == "| a\\|b c | 1 |"


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"score": float("nan")})


@pytest.mark.parametrize("format_", ["table", "json", "csv", "markdown"])
def test_every_format_of_both_tables(results, capsys, format_: str) -> None:
    made = results()
    show_leaderboard(build_leaderboard(made, resamples=10), format_)
    board = capsys.readouterr().out
    show_matrix(build_matrix(made), format_, "defense")
    matrix = capsys.readouterr().out
    assert "attack_1" in board
    assert "attack_1" in matrix
    if format_ == "json":
        assert set(json.loads(matrix)) == {"attacks", "defenses", "correct", "wrong", "target_hit", "produced", "labelled"}
