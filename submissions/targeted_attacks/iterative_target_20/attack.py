"""The iterative target class method, 20 steps (arXiv 1611.01236, section 3, with a given class)."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import run_targeted_attack, within

STEPS = 20
NET = load(Path(__file__).parent / "model.json")


def attack(images: np.ndarray, targets: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3], towards the target classes."""
    moved = to_tensor(images)
    classes = torch.from_numpy(targets - NET.label_offset).to(moved.device)
    for _ in range(STEPS):
        moved = moved.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(NET(moved), classes, reduction="sum"), moved)
        # Steps of epsilon / STEPS cannot leave the epsilon ball, only the range of pixels.
        moved = (moved - epsilon / 255 / STEPS * gradient.sign()).clamp(0, 1)
    return within(images, to_pixels(moved), epsilon)


if __name__ == "__main__":
    run_targeted_attack(attack)
