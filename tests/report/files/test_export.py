"""The 2017 files in their shapes, and everything as CSV and Parquet."""

from __future__ import annotations

import csv
import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.errors import StoreError
from harness.report.files import export
from harness.report.files.atomic import write_csv
from harness.report.files.export import export_2017, export_all
from harness.report.files.sheets import leaderboard_markdown, leaderboard_sheet, matrix_markdown, to_csv, to_json
from harness.scoring import Entry, Results, Verdicts, complete
from harness.scoring.leaderboard import build_leaderboard, build_matrix
from harness.scoring.verdicts import CORRECT, LABELLED, TARGET
from tests.helpers.verdicts import codes_from_labels, codes_of


def vector() -> Results:
    """The rules' test vector, with the targeted attack submitted first."""
    truth, target = np.array([10, 20, 30, 40], np.int32), np.array([11, 21, 31, 41], np.int32)
    produced = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 0]], bool)
    labels = np.array([
        [[11, 20, 99, 40], [11, 21, 30, 41]], [[10, 99, 30, 99], [10, 20, 99, -1]], [[10, 20, 99, -1], [99, 99, 30, -1]],
    ], np.int32)
    attacks = [("T1", "targeted_attack"), ("A1", "attack"), ("A2", "attack")]
    return complete(
        tuple(Entry(name, "", kind, False, at, "") for at, (name, kind) in enumerate(attacks)),
        tuple(Entry(name, "", "defense", False, at, "") for at, name in enumerate(("D1", "D2"), start=3)),
        truth=truth, target=target, produced=produced, codes=codes_from_labels(labels, truth, target, produced[:, None]),
        clean_codes=np.full((2, 4), 3, np.uint8))


def read(path: Path) -> list[list[str]]:
    return list(csv.reader(path.read_text().splitlines()))


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


FILES_2017 = {
    "accuracy_matrix.csv": ",A1,A2,T1\nD1,2,2,2\nD2,2,1,1\n",
    "error_matrix.csv": ",A1,A2,T1\nD1,2,1,2\nD2,1,2,3\n",
    "hit_target_class_matrix.csv": ",A1,A2,T1\nD1,0,0,1\nD2,0,0,3\n",
    "accuracy_on_attacks.csv": ",D1,D2\nA1,2,2\nA2,2,1\n",
    "accuracy_on_targeted_attacks.csv": ",D1,D2\nT1,2,1\n",
    "hit_target_class.csv": ",D1,D2\nT1,1,3\n",
    "attack_ranking.csv": "AttackName,Score\nA2,5\nA1,4\n",
    "targeted_attack_ranking.csv": "AttackName,Score\nT1,4\n",
    "defense_ranking.csv": "DefenseName,Score\nD1,6\nD2,4\n",
}


def test_the_2017_files(tmp_path: Path) -> None:
    export_2017(vector(), tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == FILES_2017


def test_every_verdict_is_exported_and_nothing_else(tmp_path: Path) -> None:
    results = vector()
    export_all(results, tmp_path)
    rows = read_rows(tmp_path / "verdicts.csv")
    assert len(rows) == 2 * (4 + 4 + 3)
    assert sum(int(row["correct"]) for row in rows) == 10
    assert sum(int(row["labelled"]) for row in rows) == 21
    boards = read_rows(tmp_path / "leaderboard.csv")
    assert {(row["scoring"], row["name"], row["raw"]) for row in boards} >= {
        ("nips2017", "D1", "4"), ("toolkit", "A2", "5"), ("standard", "T1", "4")}


def test_clean_images_are_exported_where_their_runs_have_ended(tmp_path: Path) -> None:
    codes = np.array([[LABELLED | CORRECT, LABELLED, 0, LABELLED | TARGET], [TARGET, LABELLED | CORRECT, 0, 0]], np.uint8)
    batch, done = np.array([0, 0, 1, 1], np.int32), np.array([[True, True], [True, False]])
    whole = vector()
    export_all(replace(
        whole, batch=batch, clean_codes=codes, clean_done=done, attack_done=whole.attack_done.repeat(2, -1),
        run_done=whole.run_done.repeat(2, -1)), tmp_path)
    assert read(tmp_path / "clean.csv")[1:] == [
        ["D1", "0", "1", "1", "0"], ["D1", "1", "1", "0", "0"], ["D1", "2", "0", "0", "0"], ["D1", "3", "1", "0", "0"],
        ["D2", "0", "0", "0", "1"], ["D2", "1", "1", "1", "0"]]


def test_parquet_says_the_same_as_csv(results, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    paths, notes = export_all(results(), tmp_path)
    assert notes == []
    for path in paths:
        if path.suffix == ".parquet":
            rows = read(path.with_suffix(".csv"))
            table = parquet.read_table(path)
            assert table.column_names == rows[0]
            assert table.num_rows == len(rows) - 1
    attacks = parquet.read_table(tmp_path / "verdicts.parquet").column("attack").to_pylist()
    assert attacks == [row[0] for row in read(tmp_path / "verdicts.csv")][1:]


def test_without_pyarrow_it_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(export, "parquet_here", lambda: False)
    paths, notes = export_all(vector(), tmp_path)
    assert not [path for path in paths if path.suffix == ".parquet"]
    assert "pyarrow is not installed" in notes[0]


def test_a_contests_verdicts_are_too_many_for_text(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(export, "MOST_VERDICTS_AS_CSV", 10)
    paths, notes = export_all(vector(), tmp_path)
    assert "verdicts.csv" not in {path.name for path in paths}
    assert "would have 24 rows" in notes[0]


def test_a_file_that_cannot_be_written_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_csv(tmp_path / "file" / "x.csv", ("a",), [])

    def broken():
        yield (1,)
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="No space left"):
        write_csv(tmp_path / "x.csv", ("a",), broken())
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def without(results: Results, attacks: tuple[int, ...], defenses: tuple[int, ...], what: str) -> Results:
    """Entries that made nothing ("void"), have not run ("waiting"), or half ran ("half")."""
    produced, codes = results.produced.copy(), codes_of(results)
    attack_done, run_done, clean_done = results.attack_done.copy(), results.run_done.copy(), results.clean_done.copy()
    for attack in attacks:
        if what == "void":
            produced[attack] = False
        else:
            attack_done[attack, what == "half":] = run_done[attack, :, what == "half":] = False
    for defense in defenses:
        if what == "void":
            codes[:, defense] = 0
        else:
            run_done[:, defense, what == "half":] = clean_done[defense, what == "half":] = False
    return replace(results, produced=produced, verdicts=Verdicts.of(codes * produced[:, None]), attack_done=attack_done,
                   run_done=run_done, clean_done=clean_done)


POSITIONS = {"first": (0,), "middle": (1,), "last": (2,), "all": (0, 1, 2), "none": ()}
STATES = [(what, attacks, defenses) for what, attacks, defenses in itertools.product(
    ("void", "waiting", "half"), POSITIONS, POSITIONS) if attacks != "none" or defenses != "none"]


def check_export(results: Results, directory: Path) -> None:
    """All files are there, and Parquet has the rows of the CSV under the same types as in any other tournament."""
    parquet = pytest.importorskip("pyarrow.parquet")
    paths, notes = export_all(results, directory)
    assert notes == []
    assert {path.name for path in export_2017(results, directory / "2017")} == set(FILES_2017)
    for path in (path for path in paths if path.suffix == ".parquet"):
        table = parquet.read_table(path)
        assert table.num_rows == len(read(path.with_suffix(".csv"))) - 1
        assert not any(str(kind) == "null" for kind in table.schema.types)
    board = build_leaderboard(results)
    json.loads(to_json(board.to_json()))
    assert len(to_csv(leaderboard_sheet(board)).splitlines()) == 1 + len(results.attacks) + len(results.defenses)
    assert leaderboard_markdown(board).count("##") == 3
    assert matrix_markdown(build_matrix(results)).count("\n| ") >= len(results.attacks)


@pytest.mark.parametrize(("what", "attacks", "defenses"), STATES, ids=["-".join(state) for state in STATES])
def test_every_writer_takes_entries_without_results(results, tmp_path: Path, what: str, attacks: str, defenses: str) -> None:
    check_export(without(results(2, 1, 3, 8), POSITIONS[attacks], POSITIONS[defenses], what), tmp_path)


@pytest.mark.parametrize("counts", [(0, 0, 0), (0, 0, 2), (2, 0, 0), (0, 2, 0), (0, 2, 2), (2, 0, 2), (1, 1, 1)],
                         ids=str)
def test_every_writer_takes_sides_without_entries(results, tmp_path: Path, counts: tuple[int, int, int]) -> None:
    check_export(results(*counts, 8), tmp_path)
