"""The small data set of the self-test, its honest entries, and the tournament file around them.

Class c is an image of grey level 12 + 25 c with a texture of its own: a defense can label by mean brightness with the standard
library alone, and an attack of 16 of 255 moves images over to the next class.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.config import Rules, SandboxConfig, TournamentConfig, Workers
from harness.dataset.write import Plan, write_dataset
from harness.selftest.row import Track
from harness.tracks import Access

IMAGES = 12
#: For judging detectors: enough to tell a signal from chance.
DETECTED_IMAGES = 40
SIZE = (8, 8)
EPSILON = 16
_CLASSES = 10

#: Name to (track, program).
HONEST: dict[str, tuple[Track, str]] = {
    "honest-bright": ("attack", "honest-bright.py"),
    "honest-noise": ("attack", "honest-noise.py"),
    "honest-step": ("targeted_attack", "honest-step.py"),
    "honest-mean": ("defense", "honest-mean.py"),
    "honest-median": ("defense", "honest-median.py"),
}

#: Hostile base images have no name.
IMAGES_ALLOWED = ("localhost/harness-*", "sha256:*")


def write(root: Path, secret: str, images: int = IMAGES) -> None:
    """Write a data set; the secret stands beside every true label."""
    plans = [_plan(index, secret) for index in range(images)]
    write_dataset(root, plans, label_range=(0, _CLASSES - 1), size=SIZE, classes=[], source=secret)


def _plan(index: int, secret: str) -> Plan:
    label = (index * 7) % _CLASSES
    return Plan(f"img-{index:03d}", label, (label + 1 + index % 3) % _CLASSES, secret, lambda: _pixels(index, label))


def _pixels(index: int, label: int) -> NDArray[np.uint8]:
    seed = hashlib.sha256(f"image {index}".encode()).digest()
    texture = np.frombuffer(seed * 6, np.uint8).reshape(*SIZE, 3) % 7
    return (9 + 25 * label + texture).astype(np.uint8)


def config(root: Path, name: str, backend: str, time_limit_s: float, *, detectors: bool = False,
           duels: bool = False) -> TournamentConfig:
    """A tournament below ``root`` with limits so small that a row which meets one costs seconds; one batch of all images."""
    return TournamentConfig(
        name=name, dataset=root / ("detected-data" if detectors else "data"), state=root / name,
        rules=Rules(batch_size=DETECTED_IMAGES if detectors else IMAGES, max_epsilon=(EPSILON,),
                    time_limit_s=time_limit_s, access=(Access.WHITE_BOX, Access.GREY_BOX) if duels else ()),
        sandbox=SandboxConfig.model_validate({
            # Entries that serve are served; all others get fresh containers. What a detector may remember is not tried here.
            "backend": backend, "isolation": "run" if detectors else "submission", "cpus": 1, "memory": "192m",
            "shm": "16m", "tmp": "16m", "pids": 64, "output": "4m", "images": IMAGES_ALLOWED, "layer": "64m",
            "start_limit_s": time_limit_s}),
        workers=Workers.model_validate({"gpus": "none"}))
