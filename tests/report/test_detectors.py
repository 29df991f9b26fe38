"""Detectors wherever people read of them: tables, matrix, show, exports."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.report.files.export import export_2017, export_all
from harness.report.files.sheets import leaderboard_markdown, leaderboard_sheet, matrix_markdown, matrix_sheet, to_csv
from harness.report.html.page import render
from harness.report.show import show_matrix, show_submission
from harness.report.terminal.leaderboard import print_leaderboard
from harness.report.terminal.matrix import print_matrix
from harness.report.terminal.submission import print_submission
from harness.scoring import Results
from harness.scoring.leaderboard import build_detector_matrix, build_leaderboard
from harness.views.matrix import detector_view
from harness.views.report import EntryView
from harness.views.report_reader import scored
from harness.views.submission import SubmissionView, detected
from tests.detectors import contest, random


def made(images: int = 240, detectors: int = 3, attacks: int = 3) -> Results:
    generator = np.random.default_rng(1)
    shown = np.ones((attacks, images), bool)
    shown[0, : images // 2] = False
    shown[-1] = attacks == 1
    scores = {f"detector{place}": random(generator, attacks, images, 0.5 * place + 0.1) for place in range(detectors - 1)}
    scores["constant"] = np.full((attacks, images), 0.5), np.full((attacks, images), 0.5)
    scores["detector0"][0][0, -3:] = scores["detector0"][1][0, -1] = np.nan
    return contest(scores, shown=shown, wrong=generator.random((attacks, 2, images)) < 0.3)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_table_fits_and_says_what_its_figures_hang_on(screen, width: int) -> None:
    lines = screen(lambda console: print_leaderboard(build_leaderboard(made(), resamples=100), console), width)
    assert max(map(len, lines)) <= width
    (head,) = [line for line in lines if line.startswith("Detectors")]
    assert head == "Detectors  score: area under the ROC curve, mean over attacks; prevalence 0.500"
    titles = lines[lines.index(head) + 1].split()
    assert "raw" not in titles
    assert "AUPR" in titles
    assert ("TPR5" in titles) == (width > 80)
    assert any(line.startswith("(constant) gave every image the same score") for line in lines)
    assert not any("depended on earlier batches" in line for line in lines)
    assert "undet" in lines[1].split()


def test_a_round_without_detectors_shows_no_table_of_them(results, screen) -> None:
    board = build_leaderboard(results(), resamples=0)
    assert not any("etector" in line or "undet" in line for line in screen(lambda console: print_leaderboard(board, console), 200))


def test_csv_and_markdown_hold_the_figures(capsys) -> None:
    board = build_leaderboard(made(), resamples=50)
    rows = list(csv.DictReader(to_csv(leaderboard_sheet(board)).splitlines()))
    shown = {row["name"]: row for row in rows if row["track"] == "detector"}
    assert {row.name: row.score for row in board.tracks["detector"]} == {name: float(row["score"]) for name, row in shown.items()}
    assert shown["constant"]["mark"] == "(constant)"
    assert shown["constant"]["raw"] == shown["constant"]["tpr_at_1_fpr"] == shown["constant"]["clean_accuracy"] == ""
    assert float(shown["constant"]["best_f1"]) == pytest.approx(2 / 3)
    markdown = leaderboard_markdown(board).split("## ")
    (table,) = [part for part in markdown if part.startswith("detector ")]
    assert "auroc_fooling" in table
    assert "clean" not in table.splitlines()[2]
    assert all("auroc_fooling" not in part for part in markdown if part is not table)


def test_the_matrix_json_has_exactly_the_agreed_fields(capsys) -> None:
    show_matrix(build_detector_matrix(made()), "json", "detector")
    matrix = json.loads(capsys.readouterr().out)
    assert list(matrix) == ["attacks", "detectors", "auroc", "auroc_fooling", "changed"]
    assert (matrix["attacks"], matrix["detectors"]) == (["attack0", "attack1", "attack2"], ["detector0", "detector1", "constant"])
    assert matrix["changed"] == [120, 240, 0]
    assert matrix["auroc"][2] == matrix["auroc_fooling"][2] == [None, None, None]
    assert matrix["auroc"][0][2] == matrix["auroc_fooling"][1][2] == 0.5


def test_the_matrix_agrees_with_the_leaderboard_in_every_form(screen) -> None:
    results = made()
    matrix, board = build_detector_matrix(results), build_leaderboard(results, resamples=0)
    scores = {row.name: row.score for row in board.tracks["detector"]}
    for place, entry in enumerate(matrix.detectors):
        assert np.nanmean(matrix.auroc[:, place]) == pytest.approx(scores[entry.name])
    view = detector_view(matrix, "detector")
    assert [entry.name for entry in view.columns] == [row.name for row in board.tracks["detector"]]
    assert [line.name for line in view.lines][-1] == "attack2"
    assert len(matrix_sheet(matrix).rows) == 9
    assert "| attack0 |" in matrix_markdown(matrix)
    lines = screen(lambda console: print_matrix(matrix, console, "detector"))
    assert lines[0] == "Matrix  area under the ROC curve, in %"
    assert [line.split() for line in lines if line.startswith("attack2")] == [["attack2", ".", ".", "."]]


@pytest.mark.parametrize(("detectors", "attacks"), [(1, 1), (30, 3), (2, 40)])
def test_the_matrix_fits_80_columns(screen, detectors: int, attacks: int) -> None:
    lines = screen(lambda console: print_matrix(build_detector_matrix(made(40, detectors + 1, attacks)), console, "detector"))
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("detectors 1-") for line in lines) == (detectors == 30)


def test_show_has_every_attack_a_histogram_and_roc_points(screen, capsys) -> None:
    results = made()
    rows = {row.name: row for row in build_leaderboard(results, resamples=0).tracks["detector"]}
    entry = results.detectors[0]
    attacks, scores = detected(results, entry.name)
    view = SubmissionView(entry, row=rows[entry.name], detected=attacks, histogram=scores)
    show_submission(view, "json")
    shown = json.loads(capsys.readouterr().out)
    assert [attack["name"] for attack in shown["detected"]][-1] == "attack2"
    first = shown["detected"][0]
    assert first["auroc"] == rows[entry.name].worst
    assert first["name"] == rows[entry.name].worst_opponent
    for attack in shown["detected"][:2]:
        fpr, tpr = np.array(attack["roc"]).T
        assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
        assert len(fpr) <= 202
        assert (np.diff(fpr) >= 0).all()
        assert (np.diff(tpr) >= 0).all()
        # The curve's area is the score, but for the points that were left out.
        assert np.trapezoid(tpr, fpr) == pytest.approx(attack["auroc"], abs=0.005)
    found = shown["histogram"]
    assert (sum(found["attacked"]), found["attacked_missing"], found["clean_missing"]) == (360 - 3, 3, 1)
    assert sum(found["clean"]) == 360 - 1
    lines = screen(lambda console: print_submission(view, console))
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if "#" in line]) == 16
    assert any("without a score: 1 clean image, 3 attacked" in line for line in lines)
    show_submission(view, "csv")
    assert capsys.readouterr().out.startswith("name,type,baseline,changed,auroc,auroc_fooling,tpr_at_5_fpr,tpr_at_1_fpr\n")


@pytest.mark.parametrize("value", [0.5, 3.4e38])
def test_a_histogram_of_one_value_has_one_bin(screen, value: float) -> None:
    same = np.full((1, 30), value)
    attacks, scores = detected(contest({"one": (same, same)}), "one")
    assert (len(scores.edges), scores.attacked, scores.clean) == (2, (30,), (30,))
    assert attacks[0].roc == ((0.0, 0.0), (1.0, 1.0))
    view = SubmissionView(contest({"one": (same, same)}).detectors[0], detected=attacks, histogram=scores)
    assert len([line for line in screen(lambda console: print_submission(view, console)) if "#" in line]) == 1


def test_nothing_answered_has_no_histogram() -> None:
    nothing = np.full((1, 30), np.nan)
    attacks, scores = detected(contest({"one": (nothing, nothing)}), "one")
    assert (scores, attacks[0].auroc) == (None, 0)


def test_every_score_is_exported_and_nothing_else(tmp_path: Path) -> None:
    results = made()
    _, notes = export_all(results, tmp_path)
    assert not any("detections" in note for note in notes)
    rows = list(csv.DictReader((tmp_path / "detections.csv").read_text().splitlines()))
    assert len(rows) == 3 * 2 * 360
    found = {(row["detector"], row["attack"], row["image"], row["side"]): row["score"] for row in rows}
    assert found["detector0", "attack0", "i0239", "attacked"] == found["detector0", "attack0", "i0239", "clean"] == ""
    assert np.float32(found["detector1", "attack1", "i0007", "clean"]) == results.detections.clean[1, 1, 7]
    assert ("detector1", "attack0", "i0007", "clean") not in found
    entries = list(csv.DictReader((tmp_path / "entries.csv").read_text().splitlines()))
    assert [row["name"] for row in entries if row["type"] == "detector"] == ["detector0", "detector1", "constant"]
    pairs = list(csv.DictReader((tmp_path / "detector_pairs.csv").read_text().splitlines()))
    assert (pairs[-1]["attack"], pairs[-1]["changed"], pairs[-1]["auroc"]) == ("attack2", "0", "")


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    export_all(made(), tmp_path)
    for name in ("detections", "detector_pairs", "leaderboard"):
        rows = list(csv.DictReader((tmp_path / f"{name}.csv").read_text().splitlines()))
        table = parquet.read_table(tmp_path / f"{name}.parquet").to_pylist()
        said = [{key: "" if value is None else str(value) for key, value in row.items()} for row in table]
        assert said == rows


def test_the_files_of_2017_know_no_detectors(tmp_path: Path) -> None:
    assert not any("etector" in path.name or "etector" in path.read_text() for path in export_2017(made(), tmp_path))


def test_the_report_shows_them_and_does_not_wonder_that_larger_changes_are_detected() -> None:
    generator = np.random.default_rng(2)
    attacked, clean = random(generator, 1, 400, 0)
    batch = np.repeat([0, 1], 200)
    results = contest({"one": (attacked + 2 * batch, clean)}, batch=batch)
    view = scored(results, [16, 64])
    (row,) = view.board.tracks["detector"]
    attacks, _ = detected(results, "one")
    entry = EntryView(submission=SubmissionView(results.detectors[0], row=row, detected=attacks))
    attack = EntryView(submission=SubmissionView(results.attacks[0], row=view.board.tracks["attack"][0]))
    page = render(replace(view, entries=(entry, attack)))
    assert "Areas under the ROC curve, hardest first" in page
    (curve,) = [curve for curve in view.curves if curve.track == "detector"]
    assert curve.points[0].high < curve.points[1].low
    assert curve.easier is None
