"""The table of results: every defense as the entry itself answers, on clean, white-box and transferred images."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from adversary import gradient, pgd
from digits import tournament_images
from recipes import DEFENSES, SURROGATES, TRAINING

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import within

EPSILONS = (16, 32, 48, 64)
#: White-box and transferred images are counted on the first 100 of the tournament's 400.
ATTACKED = 100
STEPS = 20

_COLUMNS = [f"{kind} {epsilon}" for kind in ("white box", "transfer") for epsilon in EPSILONS]
_HEAD = f"""# What the committed weights do

Written by `train.py`, never by hand. Accuracy of each entry's own answers on the 400 tournament images (clean) and on the
first {ATTACKED} of them (the rest). White box: PGD, {STEPS} steps, on the entry's `logits` where it has them, else on the net
behind its filter. Transfer: MI-FGSM, 10 steps, on the mean logits of the three public surrogates. The number is epsilon.

| entry | KB | clean | {" | ".join(_COLUMNS)} |
|---|---|---|{"---|" * len(_COLUMNS)}
"""


def write_report(tick: Callable[[], None]) -> None:
    """Measure every defense and write ``RESULTS.md``."""
    torch.manual_seed(0)
    images, labels = tournament_images()
    attacked, answers = images[:ATTACKED], labels[:ATTACKED]
    transferred = [_transferred(attacked, answers, epsilon) for epsilon in EPSILONS]
    rows = []
    for folder in sorted(path.parent for path in DEFENSES.glob("*/metadata.json")):
        entry = read_entry(folder)
        figures = [np.mean(entry.classify(images) == labels)]
        figures += [np.mean(entry.classify(_white_box(entry, attacked, answers, e)) == answers) for e in EPSILONS]
        figures += [np.mean(entry.classify(moved) == answers) for moved in transferred]
        rows.append(f"| {title(folder)} | {kilobytes(folder)} | {' | '.join(f'{figure:.3f}' for figure in figures)} |\n")
        tick()
    (TRAINING / "RESULTS.md").write_text(_HEAD + "".join(rows) + "\n`*` marks the baselines.\n")


def read_entry(folder: Path, program: str = "defense.py") -> ModuleType:
    """Import an entry's program."""
    spec = importlib.util.spec_from_file_location(f"entry_{folder.name}", folder / program)
    if spec is None or spec.loader is None:
        message = f"{folder} has no {program}."
        raise FileNotFoundError(message)
    entry = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(entry)
    return entry


def _white_box(entry: ModuleType, images: np.ndarray, labels: np.ndarray, epsilon: int) -> np.ndarray:
    model = getattr(entry, "logits", None) or entry.NET
    pixels, answers = to_tensor(images), torch.from_numpy(labels)
    radius = torch.full((1, 1, 1, 1), epsilon / 255, device=pixels.device)
    moved = pgd(model, pixels, answers.to(pixels.device), radius, steps=STEPS)
    return within(images, to_pixels(moved), epsilon)


def _transferred(images: np.ndarray, labels: np.ndarray, epsilon: int, steps: int = 10) -> np.ndarray:
    nets = [load(SURROGATES / name / "model.json") for name in "abc"]
    pixels = to_tensor(images)
    answers = torch.from_numpy(labels).to(pixels.device)
    radius, velocity, moved = epsilon / 255, torch.zeros_like(pixels), pixels
    for _ in range(steps):
        slope = gradient(lambda x: torch.stack([net(x) for net in nets]).mean(0), moved, answers)
        velocity = velocity + slope / slope.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-12)
        moved = moved + radius / steps * velocity.sign()
        moved = torch.minimum(torch.maximum(moved, pixels - radius), pixels + radius).clamp(0, 1)
    return within(images, to_pixels(moved), epsilon)


def title(folder: Path) -> str:
    """Return its name, a baseline's with a star."""
    baseline = json.loads((folder / "metadata.json").read_text()).get("baseline", False)
    return f"{folder.name}{'*' if baseline else ''}"


def kilobytes(folder: Path) -> int:
    """Return the size of its weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) // 1000
