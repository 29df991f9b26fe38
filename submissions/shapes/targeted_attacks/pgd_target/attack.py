"""PGD, targeted: iterated steps, each projected back to the epsilon ball, from a random start (arXiv 1706.06083, section 2.1)."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import run_targeted_attack, within

STEPS = 20
STEP = 2.5 / STEPS  # of epsilon: any point of the ball can be reached
NET = load(Path(__file__).parent / "model.json")


def attack(images: np.ndarray, targets: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3], towards the target classes."""
    clean = to_tensor(images)
    classes = torch.from_numpy(targets - NET.label_offset).to(clean.device)
    radius = epsilon / 255
    low, high = (clean - radius).clamp(min=0), (clean + radius).clamp(max=1)
    # One start for all images, from a fixed seed: what an image gets does not depend on its batch.
    start = torch.rand(clean.shape[1:], generator=torch.Generator().manual_seed(0)).to(clean.device)
    moved = clean + radius * (2 * start - 1)
    for _ in range(STEPS):
        moved = moved.clamp(low, high).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(NET(moved), classes, reduction="sum"), moved)
        moved = moved - STEP * radius * gradient.sign()
    return within(images, to_pixels(moved.clamp(low, high)), epsilon)


if __name__ == "__main__":
    run_targeted_attack(attack)
