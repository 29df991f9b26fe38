"""What docs/results.md says to hold of GRED, from the stored result of a full run of ``tournaments/gred.yaml``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

STORED = Path(__file__).parent / "data" / "gred_run.json"
LEAST_NORM = ["deepfool_on_f", "carlini_wagner_on_f", "carlini_wagner_target_on_f", "ddn_on_f", "ddn_target_on_f"]
LARGE = ["fgsm_on_f", "pgd_on_f", "pgd_target_on_f", "fgsm", "pgd", "pgd_target"]


@pytest.fixture(scope="module")
def stored() -> dict[str, dict[str, dict[str, list[float]]]]:
    return json.loads(STORED.read_text())


@pytest.mark.parametrize("attack", LEAST_NORM)
def test_the_image_hides_what_the_sensitivity_shows(stored, attack: str) -> None:
    row = stored["detection"][attack]
    assert row["image_cnn"][2] < 0.65
    assert row["input_sensitivity"][1] > 0.8
    assert row["gred"][1] > row["image_cnn"][2]


@pytest.mark.parametrize("attack", LARGE)
def test_large_changes_are_seen_in_the_image(stored, attack: str) -> None:
    row = stored["detection"][attack]
    assert row["image_cnn"][0] > max(row["input_sensitivity"][0], row["saliency"][0])
    assert row["gred"][0] > 0.85


def test_rejection_keeps_most_of_what_is_made_on_f_alone(stored) -> None:
    assert min(stored["success"][name]["undefended_a"][0] for name in LEAST_NORM) > 0.95
    assert max(stored["success"][name]["gred_reject"][0] for name in [*LEAST_NORM, *LARGE]) <= 0.3


def test_who_knows_the_detector_goes_past_it(stored) -> None:
    for attack in ("pgd_white_box", "deepfool_white_box", "ddn_white_box"):
        assert stored["success"][attack]["gred_reject"][1] > 0.9
    assert stored["success"]["ddn_grey_box"]["gred_reject"][2] < 0.2


def test_where_there_is_no_detector_every_attack_but_one_step_fools(stored) -> None:
    """The first column of the paper's Tables 4 and 5."""
    white_box = {name: row["undefended_a"][0] for name, row in stored["success"].items() if name.endswith("_white_box")}
    assert len(white_box) == 8
    assert white_box.pop("fgsm_white_box") < 1
    assert set(white_box.values()) == {1}


def test_towards_a_target_the_detector_is_passed_less_often(stored) -> None:
    for name in ("pgd", "ddn", "carlini_wagner"):
        targeted = stored["success"][f"{name}_target_white_box"]["gred_reject"]
        assert stored["success"].get(f"{name}_white_box", {}).get("gred_reject", [1])[0] > targeted[0]
    assert stored["success"]["carlini_wagner_target_white_box"]["gred_reject"][1] < 0.5
