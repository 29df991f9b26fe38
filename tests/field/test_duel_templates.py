"""Samples of duels: what two defenses say of themselves, and that the templates fool them, by their gradients or their answers."""

import json
import os
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from entry_loading import SUBMISSIONS, digits, entry, labels_of

from field_kit.model import to_tensor
from harness.sdk import BEYOND_BUDGET, Target, target

pytestmark = pytest.mark.field

DEFENSES = ("undefended_plain", "median_filter")
WHITE_BOX = "templates/white_box_attack"


def opened(name: str) -> Target:
    return target(SUBMISSIONS / "defenses" / name)


@pytest.mark.parametrize("template", ["white_box_attack", "query_attack"])
def test_a_template_is_complete(template: str) -> None:
    folder = SUBMISSIONS / "templates" / template
    metadata = json.loads((folder / "metadata.json").read_text())
    assert (metadata["access"], metadata["protocol"]) == (template.removesuffix("_attack"), "serve")
    assert os.access(folder / metadata["entry_point"], os.X_OK)
    assert len((folder / "README.md").read_text().splitlines()) == 5
    assert {path.name for path in folder.glob("*.py")} == {"attack.py"}
    assert "field_kit" not in (folder / "attack.py").read_text()


@pytest.mark.parametrize("name", DEFENSES)
def test_what_a_defense_says_of_itself_is_what_it_does(name: str) -> None:
    images = digits(40)[0]
    noisy = np.clip(images + np.random.default_rng(0).normal(0, 40, images.shape), 0, 255).astype(np.uint8)
    pixels, found = to_tensor(noisy), opened(name)
    assert np.array_equal(found.predict(pixels), labels_of(f"defenses/{name}", noisy))
    through = found.logits(found.transform(pixels)).argmax(1).numpy() + found.label_offset
    assert np.array_equal(found.predict(pixels), through)
    leaf = pixels.clone().requires_grad_()
    gradient = torch.autograd.grad(found.logits(leaf).sum(), leaf)[0]
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(("name", "steps", "at_most"), [
    ("undefended_plain", 1, 0.7), ("undefended_plain", 10, 0.1), ("median_filter", 10, 0.3),
], ids=["FGSM", "in steps", "past a filter (BPDA)"])  # fmt: skip
def test_the_white_box_template_fools(name: str, steps: int, at_most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, _ = digits(40)
    template = entry(WHITE_BOX)
    monkeypatch.setattr(template, "STEPS", steps)
    made = template.attack(images, 24, opened(name))
    assert np.abs(made.astype(int) - images).max() <= 24
    assert np.mean(labels_of(f"defenses/{name}", made) == labels) <= at_most


def test_the_white_box_template_goes_past_what_no_gradient_comes_back_from() -> None:
    class Hostile:
        def logits(self, pixels: Any) -> Any:
            return torch.stack([pixels.sum((1, 2, 3)) * float("nan"), pixels.sum((1, 2, 3))], 1)

        def predict(self, pixels: Any) -> Any:
            return np.zeros(len(pixels), int)

    images = digits(3)[0]
    assert np.array_equal(entry(WHITE_BOX).attack(images, 16, Target(Hostile())), images)


class Counted:
    """An oracle as the tournament's, over a defense of ours."""

    def __init__(self, name: str, count: int, budget: int) -> None:
        self.name, self.budget, self.used = name, budget, np.zeros(count, int)

    def labels(self, images: np.ndarray, index: np.ndarray) -> np.ndarray:
        assert len(np.unique(index)) == len(index)
        left = self.used[index] < self.budget
        self.used[index[left]] += 1
        return np.where(left, labels_of(f"defenses/{self.name}", images), BEYOND_BUDGET)


def test_the_query_template_fools_within_its_budget() -> None:
    images, labels, _ = digits(40)
    oracle = Counted("undefended_plain", len(images), 60)
    made = entry("templates/query_attack").attack(images, 32, oracle)
    assert np.abs(made.astype(int) - images).max() <= 32
    fooled = labels_of("defenses/undefended_plain", made) != labels
    assert 0.15 <= fooled.mean() < 1
    assert oracle.used[~fooled].min() == 60
    assert oracle.used[fooled].mean() < 60
