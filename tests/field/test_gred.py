"""GRED's entries on a handful of rendered shapes: what they flag, what they rectify, and that their targets are they themselves."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("foolbox")

from entry_loading import SUBMISSIONS, entry

from field_kit.model import to_tensor
from harness.dataset.shapes import shapes
from harness.sdk import Target, target

pytestmark = pytest.mark.field

SHAPES = SUBMISSIONS / "shapes"
DUELS = sorted(path.parent.relative_to(SUBMISSIONS) for path in SHAPES.glob("*/*_box/metadata.json"))
BOUNDS = {"fgsm": 8, "pgd": 8}
LARGE = 512


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """With as many as cores, each step of these small nets waits for the slowest on a machine that does other things too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def batch(count: int = 16) -> tuple[np.ndarray, np.ndarray]:
    return shapes("test", count)


@functools.cache
def opponent(name: str) -> Target:
    return target(SHAPES / "defenses" / name)


@functools.cache
def attacked(name: str, count: int = 16) -> np.ndarray:
    images, labels = batch(count)
    bound = BOUNDS.get(name.split("_", maxsplit=1)[0], LARGE)
    if (SHAPES / "attacks" / name).exists():
        return entry(f"shapes/attacks/{name}").attack(images.copy(), bound)
    return entry(f"shapes/targeted_attacks/{name}").attack(images.copy(), (labels + 1) % 10, bound)


def scores(detector: str, images: np.ndarray) -> np.ndarray:
    return entry(f"shapes/detectors/{detector}", "detector.py").suspect(images.copy())


def auroc(detector: str, attack: str) -> float:
    clean, moved = scores(detector, batch()[0]), scores(detector, attacked(attack))
    return float((moved[:, None] > clean).mean())


@pytest.mark.parametrize("attack", ["fgsm_on_f", "pgd_on_f", "deepfool_on_f", "ddn_on_f", "pgd_target_on_f"])
def test_the_suite_fools_f_as_stored(attack: str) -> None:
    _, labels = batch()
    answers = opponent("gred/base").predict(to_tensor(attacked(attack)))
    assert ((answers == (labels + 1) % 10) if "target" in attack else (answers != labels)).mean() >= 0.7


def test_each_detector_sees_its_own_family() -> None:
    assert auroc("image_cnn", "fgsm_on_f") > 0.9
    assert auroc("input_sensitivity", "ddn_on_f") > 0.8
    assert min(auroc("gred", "fgsm_on_f"), auroc("gred", "ddn_on_f")) > 0.8


def test_gred_answers_what_the_more_certain_of_its_halves_does() -> None:
    for images in (batch()[0], attacked("ddn_on_f")):
        image, sensitivity = scores("image_cnn", images), scores("input_sensitivity", images)
        wanted = np.where(np.abs(image) > np.abs(sensitivity), image, sensitivity)
        assert scores("gred", images) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_what_is_flagged_is_rectified_or_rejected() -> None:
    _, labels = batch()
    moved = attacked("ddn_on_f")
    flagged = scores("gred", moved) > 0
    rectified = entry("shapes/defenses/gred", "defense.py").classify(moved.copy())
    rejected = entry("shapes/defenses/gred_reject", "defense.py").classify(moved.copy())
    plain = opponent("gred/base").predict(to_tensor(moved))
    assert ((rejected == -1) == flagged).all()
    assert (rejected[~flagged] == plain[~flagged]).all()
    assert (rectified[~flagged] == plain[~flagged]).all()
    assert (rectified == labels).mean() > (plain == labels).mean() + 0.4


@pytest.mark.parametrize("name", ["gred", "gred_reject", "undefended_a"])
def test_the_target_is_the_defense_itself(name: str) -> None:
    images = np.concatenate([batch()[0][:8], attacked("pgd_on_f")[:8]])
    found, pixels = opponent(name), to_tensor(images)
    answers = entry(f"shapes/defenses/{name}", "defense.py").classify(images.copy())
    assert (found.predict(pixels) == answers).all()
    logits = found.logits(pixels.requires_grad_())
    rejects = name == "gred_reject"
    assert logits.shape == (16, 10 + rejects)
    assert (np.where(answers == -1, 10, answers) == logits.argmax(1).numpy()).all()
    (slope,) = torch.autograd.grad(logits.sum(), pixels)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("duel", DUELS, ids=str)
def test_a_duel_attack_keeps_to_its_bound(duel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps, on two images: each goes through the detector's second derivatives and comes back with an image as stored."""
    images, labels = batch(2)
    name = duel.name.split("_")[0]
    bound, opposed = BOUNDS.get(name, LARGE), opponent("gred_reject/base" if "grey" in duel.name else "gred_reject")
    module = entry(str(duel))
    if hasattr(module, "METHOD"):
        monkeypatch.setattr(module.METHOD, "steps", 3)
        monkeypatch.setattr(module.METHOD, "binary_search_steps", 1, raising=False)
    if hasattr(module, "STEPS"):
        monkeypatch.setattr(module, "STEPS", 3)
    made = module.attack(images.copy(), *([(labels + 1) % 10] if "targeted" in str(duel) else []), bound, opposed)
    change = made.astype(float) - images
    assert made.dtype == np.uint8
    assert made.shape == images.shape
    assert (np.abs(change).max() if name in BOUNDS else np.sqrt((change**2).sum((1, 2, 3))).max()) <= bound


def test_who_knows_the_detector_goes_past_it_more_often() -> None:
    images, labels = batch(4)
    against = opponent("gred_reject")
    known = entry("shapes/attacks/pgd_white_box").attack(images.copy(), 8, against)
    answers = {name: against.predict(to_tensor(made)) for name, made in (("known", known), ("unknown", attacked("pgd_on_f", 4)))}
    through = {name: int(((found != labels) & (found != -1)).sum()) for name, found in answers.items()}
    assert through["known"] > through["unknown"]
