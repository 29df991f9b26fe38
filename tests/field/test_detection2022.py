"""The shapes of the 2022 detection contest that hold, from the stored result of a full run (`make detection2022`).

What does not hold is in docs/results.md with its figures, and asserted nowhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

HERE = Path(__file__).parent
TOURNAMENT = HERE.parents[1] / "tournaments" / "detection2022.yaml"
OWN = {"patch": "lavan", "stripes": "square", "noise": "fgsm"}


@pytest.fixture(scope="module")
def stored() -> dict:
    return json.loads((HERE / "data" / "detection2022.json").read_text())


@pytest.fixture(scope="module")
def area(stored: dict) -> dict[tuple[str, str], float]:
    found = stored["matrix"]
    return {(detector, attack): value for attack, row in zip(found["attacks"], found["auroc"], strict=True)
            for detector, value in zip(found["detectors"], row, strict=True)}


def row(stored: dict, track: str, name: str) -> dict:
    return next(row for row in stored["leaderboard"]["tracks"][track] if row["name"] == name)


def test_the_stored_run_is_complete_and_of_the_tournaments_entries(stored: dict) -> None:
    assert stored["leaderboard"]["runs"]["done"] == stored["leaderboard"]["runs"]["total"]
    names = sorted((track, row["name"]) for track, rows in stored["leaderboard"]["tracks"].items() for row in rows)
    named = [(TOURNAMENT.parent / path).resolve() for path in yaml.safe_load(TOURNAMENT.read_text())["submissions"]]
    # Attacks by queries are duels, and came later.
    listed = [path for path in named if "access" not in json.loads((path / "metadata.json").read_text())]
    assert names == sorted((path.parent.name.removesuffix("s"), path.name) for path in listed)


@pytest.mark.parametrize(("detector", "attack"), OWN.items())
def test_a_detector_finds_its_own_family(area: dict, detector: str, attack: str) -> None:
    assert area[detector, attack] > 0.9


@pytest.mark.parametrize(("detector", "family", "least"), [
    ("patch", "patch", 0.9), ("stripes", "square", 0.65), ("noise", "uap or fgsm", 0.75),
])  # fmt: skip
def test_f1_on_its_own_family_is_about_the_write_ups(stored: dict, detector: str, family: str, least: float) -> None:
    """The write-up has .981, .801 and .871."""
    value, low, high = stored["f1"][detector][family]
    assert least < low <= value <= high


@pytest.mark.parametrize("detector", [*OWN, "contest2022"])
@pytest.mark.parametrize("attack", ["ddn", "carlini_wagner", "deepfool"])
def test_no_trace_shows_least_norm(area: dict, detector: str, attack: str) -> None:
    assert area[detector, attack] < 0.7


@pytest.mark.parametrize("attack", ["ddn", "carlini_wagner", "deepfool"])
def test_the_net_that_it_was_made_on_shows_least_norm(area: dict, attack: str) -> None:
    """What the team wanted for its "others" and could not have, because no contestant was told the net."""
    assert area["attack_as_defense", attack] > 0.9


def test_the_cascade_is_above_each_of_its_stages(stored: dict) -> None:
    """In F1 over all families, by the write-up's counts."""
    f1 = {name: columns["all"][0] for name, columns in stored["f1"].items()}
    assert f1["contest2022"] > max(f1[name] for name in OWN)


def test_magnets_reformer_takes_least_norm_away_and_costs_clean_accuracy(stored: dict) -> None:
    reformed, bare = (row(stored, "defense", name) for name in ("magnet_reformer", "undefended_b"))
    assert reformed["by_threat"]["l2"] > 0.8
    assert bare["by_threat"]["l2"] < 0.1
    assert reformed["clean_accuracy"] < bare["clean_accuracy"]


def test_asking_the_opponent_is_worth_more_than_asking_ones_own_net(stored: dict) -> None:
    """Square by queries, and the same search on a net of the attack's own."""
    asking = stored["query"]["row"]
    assert asking["outcomes"] == {"ok": 16}
    assert asking["score_low"] > row(stored, "attack", "square")["score_high"]
    assert stored["query"]["by_bound"][0]["high"] < min(point["low"] for point in stored["query"]["by_bound"][1:])


def test_files_say_nothing(stored: dict) -> None:
    leak = row(stored, "detector", "file_leak")
    assert leak["score_low"] <= 0.5 <= leak["score_high"]
    assert abs(leak["score"] - 0.5) < 0.02
