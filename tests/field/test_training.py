"""The committed weights can be trusted: training one small net anew gives one that is as good, and its file is as small."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.field, pytest.mark.slow]

TRAINING = Path(__file__).resolve().parents[2] / "submissions" / "training"
#: The net that trains fastest.
NAME = "byobnet"


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The training's own modules, which lie beside its program and not in a package."""
    monkeypatch.syspath_prepend(str(TRAINING))
    import digits
    import recipes
    import torch
    import train

    from field_kit import model

    # One thread: with as many as cores, each step waits for the slowest on a machine that does other things too.
    torch.set_num_threads(1)
    return SimpleNamespace(digits=digits, model=model, recipes=recipes, train=train)


def accuracy(training: SimpleNamespace, net: Any) -> float:
    images, labels = training.digits.tournament_images()
    return float(np.mean(net.labels(net(training.model.to_tensor(images))) == labels))


@pytest.mark.filterwarnings("default")
def test_a_net_trained_anew_is_as_good_as_the_committed_one(training: SimpleNamespace, tmp_path: Path) -> None:
    recipe = next(recipe for recipe in training.recipes.RECIPES if recipe.name == NAME)
    committed = training.model.load(recipe.folders[0] / "model.json")
    made = training.train.make(recipe, training.digits.training_set(), lambda: None)
    training.train.save(made, replace(recipe, folders=(tmp_path,), name="only-here"))
    again = training.model.load(tmp_path / "model.json")
    size = (recipe.folders[0] / "model.safetensors").stat().st_size
    assert (tmp_path / "model.safetensors").stat().st_size == pytest.approx(size, rel=0.01)
    assert accuracy(training, again) == pytest.approx(accuracy(training, committed), abs=0.02)


def test_every_spec_says_what_its_recipe_says(training: SimpleNamespace) -> None:
    recipes = {recipe.name: recipe.spec() for recipe in training.recipes.RECIPES}
    specs = [json.loads(path.read_text()) for path in TRAINING.parent.rglob("*.json")]
    differing = [
        spec for spec in specs
        if "recipe" in spec and {**spec, "weights": ""} != {**recipes[spec["recipe"]], "weights": ""}
    ]  # fmt: skip
    assert differing == []


def test_the_table_shows_the_papers_shapes() -> None:
    """Widely: none < ensemble with randomisation < adversarial training against transfer; nothing plain in the white box."""
    rows = {}
    for line in (TRAINING / "RESULTS.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 11 and cells[1].isdigit():
            rows[cells[0].rstrip("*")] = [float(cell) for cell in cells[2:]]
    transfer = {name: row[7] for name, row in rows.items()}  # epsilon 48
    white_box = {name: row[3] for name, row in rows.items()}
    assert min(row[0] for row in rows.values()) > 0.95
    assert transfer["undefended_surrogate"] < 0.1
    assert transfer["undefended_plain"] + 0.2 < transfer["guided_denoiser"]
    assert transfer["undefended_plain"] + 0.2 < transfer["ensemble_randomised"] < transfer["adversarial_training_pgd"]
    assert max(value for name, value in white_box.items() if name.startswith("undefended")) < 0.1
    assert white_box["adversarial_training_pgd"] > white_box["adversarial_training_fgsm"]


def test_help_names_every_net() -> None:
    done = subprocess.run(
        [sys.executable, TRAINING / "train.py", "--help"], capture_output=True, text=True, check=True
    )
    assert "surrogate-a" in done.stdout
    assert "denoiser" in done.stdout
