"""The tables of the tournament on photographs, from an export made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import photos_tables as tables

HEAD = "scoring,track,rank,rank_low,rank_high,name,score,score_low,score_high"
#: The epsilon of a batch comes from its number; batch 2 begins again.
EXPORT = {
    "entries": ["name,type", "plain,attack", "aimed,targeted_attack", "undefended_lite2,defense"],
    "images": ["image,batch", "a,0", "b,1", "c,2"],
    "verdicts": ["attack,defense,image,correct,target_hit",
                 "plain,undefended_lite2,a,1,0", "plain,undefended_lite2,b,0,1", "plain,undefended_lite2,c,1,0",
                 "plain,other,a,1,0", "plain,other,b,1,0", "plain,other,c,1,0",
                 "aimed,undefended_lite2,a,0,1", "aimed,undefended_lite2,b,0,1", "aimed,undefended_lite2,c,0,1"],
    "detector_pairs": ["attack,detector,auroc", "plain,seer,0.625", "still,seer,"],
    "leaderboard": [HEAD, "standard,attack,1,1,2,plain,.5,.25,.75", "toolkit,attack,1,1,1,plain,9,9,9"],
}


@pytest.fixture
def found(tmp_path: Path) -> dict:
    for name, lines in EXPORT.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return tables.summary(tmp_path, [4, 16])


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_accuracy_is_by_attack_and_defense_and_a_pair_not_played_is_a_dash(found) -> None:
    rows = cells(tables.accuracy_table(found))
    assert rows[0][0] == "plain"
    assert rows[0][1].startswith(".67 (")
    assert rows[0][2] == "1.00 (1.00 to 1.00)"
    assert rows[1] == ["aimed", ".00 (.00 to .00)", "-"]


def test_hits_are_those_of_targeted_attacks_alone(found) -> None:
    assert cells(tables.hits_table(found)) == [["aimed", "1.00 (1.00 to 1.00)"]]


def test_epsilons_go_by_batch(found) -> None:
    assert tables.epsilon_table(found).splitlines()[0] == "| attack | 4 | 16 |"
    assert cells(tables.epsilon_table(found))[0] == ["plain", "1.00 (1.00 to 1.00)", ".00 (.00 to .00)"]


def test_places_and_areas_are_the_harnesss_own(found) -> None:
    assert cells(tables.ranks_table(found)) == [["attack", "plain", ".50 (.25 to .75)", "1 to 2"]]
    assert cells(tables.areas_table(found)) == [["plain", ".62"]]
    assert found["images"] == 3


def test_the_page_of_results_has_the_tables_of_the_stored_run() -> None:
    root = Path(__file__).parent
    stored = json.loads((root / "field" / "data" / "photos_run.json").read_text())
    page = (root.parent / "docs" / "results.md").read_text()
    for table in (tables.accuracy_table, tables.epsilon_table, tables.hits_table, tables.areas_table, tables.ranks_table):
        assert table(stored) in page
