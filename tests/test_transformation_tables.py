"""The tables of the paper on adversarial transformation, from the JSON of the harness's commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts import transformation_tables as tables

NAMES = list(tables.EXTERNAL.values())


def defense(name: str, clean: float, robust: dict[str, float]) -> dict[str, Any]:
    return {"name": name, "clean_accuracy": clean, "robust": robust, "robust_low": robust, "robust_high": robust}


BOARD = {"tracks": {
    "attack": [{"name": "pgd", "access": "black_box"}, {"name": "bpda_identity", "access": "white_box"}], "targeted_attack": [],
    "defense": [defense(name, 0.9, {"white_box": 0.25}) for name in NAMES] + [defense("closed", 1.0, {})],
}}  # fmt: skip
BLACK_BOX = {"attacks": ["pgd"], "defenses": [*NAMES, "closed"], "correct": [[4, 3, 2, 1]], "produced": [4]}
WHITE_BOX = {"attacks": ["bpda_identity", "eot"], "defenses": [*NAMES, "closed"], "correct": [[2, 1, 3, None], [1, 2, 4, None]],
             "produced": [[4, 4, 4, None], [4, 4, 4, None]]}  # fmt: skip


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_external_nets_are_compared_by_the_identity() -> None:
    rows = cells(tables.table_1(BOARD, WHITE_BOX, dict.fromkeys(NAMES, 0.125)))
    assert rows[0] == ["untrained", "90.0", "50.0", "0.125"]
    assert [row[2] for row in rows] == ["50.0", "25.0", "75.0"]


def test_attacks_without_the_code() -> None:
    rows = cells(tables.table_2(BOARD, BLACK_BOX, None))
    assert [row[2] for row in rows] == ["100.0", "75.0", "50.0", "25.0"]
    query = {**WHITE_BOX, "attacks": ["hop_skip_jump", "gen_attack"]}
    assert cells(tables.table_2(BOARD, BLACK_BOX, query))[3][3] == "-"
    assert tables.accesses(BOARD) == {"black_box", "white_box"}


def test_the_worst_case_is_over_all_attacks_with_the_code() -> None:
    rows = cells(tables.table_3(BOARD, WHITE_BOX))
    assert rows[0] == [NAMES[0], "90.0", "50.0", "25.0", "25.0 (25.0 to 25.0)", "eot"]
    assert rows[3] == ["closed", "100.0", "-", "-", "- (- to -)", "-"]


def test_the_page_of_results_has_the_tables_of_the_stored_run() -> None:
    root = Path(__file__).parent
    stored = json.loads((root / "field" / "data" / "transformation_run.json").read_text())
    board, white_box = stored["leaderboard"], stored["white_box"]
    assert board["runs"]["done"] == board["runs"]["total"]
    page = (root.parent / "docs" / "results.md").read_text()
    assert tables.table_1(board, white_box, stored["distances"]) in page
    assert tables.table_2(board, stored["black_box"], stored["query"]) in page
    assert tables.table_3(board, white_box) in page


def test_more_samples_of_eot_find_no_more() -> None:
    """Of the images that ten samples leave, 500 leave as many; shares of right answers of a random defense."""
    found = json.loads((Path(__file__).parent / "field" / "data" / "transformation_run.json").read_text())["eot_samples"]
    assert (found["few"], found["samples"], len(found["kept"])) == (10, 500, 8)
    before = [found["left"][image] for image in found["kept"]]
    assert abs(sum(before) - sum(found["after"])) / 8 < 0.1
