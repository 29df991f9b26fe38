"""What docs/results.md says to hold on photographs, from the stored result of `make photos`.

Of 200 images a share is uncertain by .07, so only what is clear of that is asserted. What does not hold is on that page, and
asserted nowhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HOME = HERE.parents[1] / "submissions" / "photos"
#: Around the net that no attack has.
PRIVATE = ["undefended_lite2", "bit_depth", "jpeg", "resize_pad"]
SURROGATES = ["undefended_lite0", "undefended_lite1"]


@pytest.fixture(scope="module")
def stored() -> dict:
    return json.loads((HERE / "data" / "photos_run.json").read_text())


def left(stored: dict, attack: str, defenses: list[str]) -> float:
    """Mean accuracy."""
    return sum(stored["accuracy"][attack][name][0] for name in defenses) / len(defenses)


def test_the_stored_run_is_complete_and_of_the_committed_entries(stored) -> None:
    assert stored["images"] == 200
    names = {(track, name) for track, rows in stored["ranks"].items() for name in rows}
    committed = {(path.parent.parent.name.removesuffix("s"), path.parent.name) for path in HOME.glob("*/*/metadata.json")}
    assert names == committed | {("attack", "no_op"), ("attack", "random_noise")}
    attacks = {name for track, name in names if track.endswith("attack")}
    assert set(stored["accuracy"]) == set(stored["by_epsilon"]) == attacks
    assert all(set(row) == {name for track, name in names if track == "defense"} for row in stored["accuracy"].values())
    assert all(set(row) == {"4", "8", "12", "16"} for row in stored["by_epsilon"].values())


@pytest.mark.parametrize(("weaker", "stronger", "margin"), [
    ("random_noise", "fgsm", 0.25), ("fgsm", "mi_fgsm", 0.15), ("mi_fgsm", "mi_fgsm_ensemble", 0.1),
    ("mi_fgsm_ensemble", "three_phases", 0.1), ("i_fgsm", "mi_fgsm", 0.2),
])  # fmt: skip
def test_attacks_transfer_in_the_papers_order(stored, weaker: str, stronger: str, margin: float) -> None:
    assert left(stored, weaker, PRIVATE) - left(stored, stronger, PRIVATE) > margin


@pytest.mark.parametrize("attack", ["i_fgsm", "mi_fgsm", "mi_fgsm_ensemble", "three_phases"])
def test_an_iterative_attack_is_certain_on_its_surrogate(stored, attack: str) -> None:
    assert left(stored, attack, ["undefended_lite0"]) < 0.05


@pytest.mark.parametrize("attack", ["momentum_std", "three_phases_target"])
def test_targets_are_hit_on_the_surrogates_and_far_less_elsewhere(stored, attack: str) -> None:
    hits = {name: row[0] for name, row in stored["hits"][attack].items()}
    assert min(hits[name] for name in SURROGATES) > 0.6
    # One private net alone was hit in .47 and, with another draw of the jitter, in .51.
    assert sum(hits[name] for name in PRIVATE) / len(PRIVATE) < 0.5


@pytest.mark.parametrize(("lifted", "bare"), [
    ("bit_depth", "undefended_lite2"), ("resize_pad", "undefended_lite2"), ("jpeg", "undefended_lite2"),
    ("guided_denoiser", "undefended_lite1"), ("adversarial_training", "undefended_lite1"),
])  # fmt: skip
def test_a_defense_is_told_from_the_net_behind_it(stored, lifted: str, bare: str) -> None:
    places = {name: row["ranks"] for name, row in stored["ranks"]["defense"].items()}
    assert places[lifted][2] < places[bare][1]


@pytest.mark.parametrize("attack", ["fgsm", "i_fgsm", "mi_fgsm"])
def test_adversarial_training_resists_what_was_made_on_another_net(stored, attack: str) -> None:
    assert stored["accuracy"][attack]["adversarial_training"][0] - stored["accuracy"][attack]["undefended_lite1"][0] > 0.15


def test_adversarial_training_does_not_resist_what_was_made_on_the_net_that_it_began_with(stored) -> None:
    assert stored["accuracy"]["mi_fgsm_ensemble"]["adversarial_training"][0] < 0.05


def test_no_private_defense_is_safe(stored) -> None:
    assert max(stored["accuracy"]["three_phases"][name][0] for name in PRIVATE) < 0.2


def test_nothing_happens_without_an_attack(stored) -> None:
    for name in ("no_op", "random_noise"):
        assert min(row[0] for row in stored["accuracy"][name].values()) > 0.85


def test_the_runner_ups_attack_is_first_by_itself(stored) -> None:
    assert stored["ranks"]["attack"]["three_phases"]["ranks"] == [1, 1, 1]


def test_targets_of_the_runner_up_transfer_and_the_winners_do_not(stored) -> None:
    for name in PRIVATE:
        assert stored["hits"]["three_phases_target"][name][0] - stored["hits"]["momentum_std"][name][0] > 0.1
