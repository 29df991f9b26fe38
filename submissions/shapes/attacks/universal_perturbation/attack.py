"""A universal perturbation: one image of signs, made offline, added to every image (arXiv 1610.08401).

Trained by stochastic gradient ascent as in arXiv 1811.11304 (submissions/training/train_universal.py), on the training
images and two of the nets. Here nothing is left but an addition, so it needs no torch.
"""

from pathlib import Path

import numpy as np

from harness.sdk import run_attack, within

DIRECTION = np.load(Path(__file__).parent / "universal.npy").astype(float)  # [64, 64, 3] in [-1, 1]


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, 64, 64, 3]."""
    return within(images, images + epsilon * DIRECTION, epsilon)


if __name__ == "__main__":
    run_attack(attack)
