"""What the peer benchmark runs: the samples on digits of 32x32, or small programs on images of the contest's size.

``contest`` has the shape that the project's figure for 2017's way was measured on: three attacks, a targeted one, three defenses,
300 images of 299x299. Images are smooth textures made from seeds; the programs need numpy and Pillow only, are served or started
for each batch, and are trained here, in seconds, on textures from other seeds.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks import peer_functions
from benchmarks.measure import REPOSITORY
from harness.dataset.digits import build_digits
from harness.dataset.write import Plan, write_dataset

SIDE = 299
CLASSES = 10
_TRAINING = 40
_SAMPLES = REPOSITORY / "submissions"

#: Isolation, images in a batch (0: all of them), target against 2017's way.
Way = tuple[str, int, float | None]


@dataclass(frozen=True)
class Workload:
    """What is run, and how.

    Attributes:
        attacks: Directories of the entries; likewise the others.
        piece: Images that the limit hands to a function at once; 0: all, and only the libraries use several cores.
        own: Whether the entries were written for this benchmark, so that nobody else runs them.
    """

    name: str
    dataset: Path
    attacks: tuple[Path, ...]
    targeted: tuple[Path, ...]
    defenses: tuple[Path, ...]
    epsilon: int
    ways: tuple[Way, ...]
    piece: int = 0
    own: bool = False

    @property
    def entries(self) -> tuple[Path, ...]:
        """All of them."""
        return (*self.attacks, *self.targeted, *self.defenses)

    def __str__(self) -> str:
        """One line for people."""
        return (f"{self.name}: {len(self.attacks)} attacks, {len(self.targeted)} targeted, {len(self.defenses)} defenses, "
                f"epsilon {self.epsilon}")


def make(name: str, root: Path, images: int, *, quick: bool) -> Workload:
    """Write the data set (and the entries) under ``root``, or find what is there."""
    return (_digits if name == "digits" else _contest)(root, images, quick=quick)


def _digits(root: Path, images: int, *, quick: bool) -> Workload:
    del images  # the sample data set is as large as it is
    if not root.exists():
        build_digits(root / "dataset")
    ways: tuple[Way, ...] = (("run", 0, 0.60), ("run", 100, None), ("submission", 0, 0.25), ("submission", 100, 0.25))
    attacks, targeted = ("i_fgsm", "mi_fgsm", "pgd"), ("iterative_target_10",)
    defenses = ("undefended_plain", "median_filter", "adversarial_training_pgd")
    return Workload(
        "digits", root / "dataset", tuple(_SAMPLES / "attacks" / one for one in attacks),
        tuple(_SAMPLES / "targeted_attacks" / one for one in targeted), tuple(_SAMPLES / "defenses" / one for one in defenses),
        32, ways[-1:] if quick else ways)


# --- the contest's shape

_ATTACKS = ("sign_noise", "blur_and_push", "iterated_gradient")
_TARGETED = ("iterated_target",)
_DEFENSES = ("linear", "median", "jpeg")


def _contest(root: Path, images: int, *, quick: bool) -> Workload:
    if not root.exists():
        _write_textures(root / "dataset", 12 if quick else images)
        attacker, defender = _train(1, peer_functions.means), _train(2, peer_functions.features)
        for kind, names in (("attack", _ATTACKS), ("targeted_attack", _TARGETED), ("defense", _DEFENSES)):
            for name in names:
                _write_entry(root / name, kind, defender if kind == "defense" else attacker)
    batch = 6 if quick else 100
    attacks, targeted, defenses = (tuple(root / name for name in names) for names in (_ATTACKS, _TARGETED, _DEFENSES))
    return Workload("contest", root / "dataset", attacks, targeted, defenses, 16,
                    (("run", batch, 0.60), ("submission", batch, 0.25)), piece=batch, own=True)


def _write_textures(into: Path, count: int) -> None:
    generator = np.random.default_rng(299)
    labels = generator.integers(1, CLASSES + 1, count)
    targets = (labels - 1 + generator.integers(1, CLASSES, count)) % CLASSES + 1
    plans = [Plan(f"{number:06d}", int(labels[number]), int(targets[number]), "",
                  partial(_texture, 0, int(labels[number]), number)) for number in range(count)]
    write_dataset(into, plans, label_range=(1, CLASSES), size=(SIDE, SIDE), classes=(), source="textures made from seeds")


def _texture(purpose: int, label: int, number: int) -> NDArray[np.uint8]:
    """Uint8 [299, 299, 3]: what the class has in common, what the image has alone, and a few waves, all smooth."""
    own = np.random.default_rng((purpose, label, number))
    field = 10 * _smooth(np.random.default_rng((99, label)), 6) + 34 * _smooth(own, 9)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32) * (2 * np.pi / SIDE)
    for _ in range(3):
        across, down, phase = own.uniform(2, 14), own.uniform(2, 14), own.uniform(0, 2 * np.pi)
        field += 8 * np.cos(across * columns + down * rows + phase)[..., None] * own.uniform(-1, 1, 3).astype(np.float32)
    return np.rint(128 + field).clip(0, 255).astype(np.uint8)


def _smooth(generator: np.random.Generator, cells: int) -> NDArray[np.float32]:
    coarse = generator.normal(size=(3, cells, cells)).astype(np.float32)
    return np.stack([np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in coarse], axis=-1)


def _train(purpose: int, seen: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Ridge regression on textures from seeds of its own: float32 [features + 1, classes]."""
    labels = np.tile(np.arange(1, CLASSES + 1), _TRAINING)
    rows = np.stack([seen(_texture(purpose, int(label), number)) for number, label in enumerate(labels)])
    rows = np.concatenate([rows, np.ones((len(rows), 1), np.float32)], axis=1).astype(np.float64)
    wanted = np.eye(CLASSES)[labels - 1]
    return np.linalg.solve(rows.T @ rows + 3 * np.eye(rows.shape[1]), rows.T @ wanted).astype(np.float32)


def _write_entry(directory: Path, kind: str, weights: NDArray[np.float32]) -> None:
    directory.mkdir(parents=True)
    program = "defense.py" if kind == "defense" else "attack.py"
    options = ", at_once=100" if kind == "defense" else ""
    _write(directory, {
        "metadata.json": json.dumps({"type": kind, "container": "localhost/harness-light:1", "entry_point": "run.sh",
                                     "protocol": "serve"}),
        "run.sh": f'#!/bin/bash\ncd "$(dirname "$0")" || exit 1\nexec python3 {program} "$@"\n',
        program: f"from functions import {directory.name}\n\nfrom harness.sdk import run_{kind}\n\n"
                 f"run_{kind}({directory.name}{options})\n"})
    (directory / "run.sh").chmod(0o755)
    shutil.copyfile(peer_functions.__file__, directory / "functions.py")
    np.save(directory / "weights.npy", weights)


def _write(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def kind_of(entry: Path) -> str:
    """The type that an entry's metadata names."""
    found: str = json.loads((entry / "metadata.json").read_text(encoding="utf-8"))["type"]
    return found
