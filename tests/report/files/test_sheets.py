from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import pytest

from harness.report.files.export import export_all
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


FAST, SLOW = "H100, 16 cores of x86_64, 126 GiB", "8 cores of x86_64, 31.2 GiB"


@pytest.mark.parametrize(("median_s", "times", "cell", "in_markdown"), [
    (0.25, {}, "", False),
    (0.25, {FAST: 0.25, SLOW: None}, f"{FAST}=0.25", False),
    (None, {FAST: 0.25, SLOW: 1.5}, f"{FAST}=0.25; {SLOW}=1.5", True),
    (None, {FAST: None, SLOW: None}, "", True),
], ids=["one kind", "one that ran every entry", "none in common", "not measured"])
def test_times_on_several_kinds_of_hardware_are_in_every_file(results, tmp_path, median_s, times, cell, in_markdown) -> None:
    whole = results()
    entries = {field: tuple(replace(entry, median_time_s=median_s, by_hardware=times) for entry in getattr(whole, field))
               for field in ("attacks", "defenses")}
    timed = replace(whole, **entries)
    export_all(timed, tmp_path)
    board = build_leaderboard(timed, resamples=0)
    texts = {to_csv(leaderboard_sheet(board)), *((tmp_path / name).read_text() for name in ("entries.csv", "leaderboard.csv"))}
    assert [{row["by_hardware"] for row in csv.DictReader(io.StringIO(text))} for text in texts] == [{cell}] * 3
    text = leaderboard_markdown(board)
    assert ("by_hardware" in text) is in_markdown
    assert (SLOW in text) is (in_markdown and bool(cell))


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
