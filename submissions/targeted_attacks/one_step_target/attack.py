"""The one-step target class method: one step against the gradient towards the target (arXiv 1611.01236, section 3)."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import run_targeted_attack, within

NET = load(Path(__file__).parent / "model.json")


def attack(images: np.ndarray, targets: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3], towards the target classes."""
    pixels = to_tensor(images).requires_grad_()
    classes = torch.from_numpy(targets - NET.label_offset).to(pixels.device)
    (gradient,) = torch.autograd.grad(F.cross_entropy(NET(pixels), classes, reduction="sum"), pixels)
    return within(images, to_pixels(pixels - epsilon / 255 * gradient.sign()), epsilon)


if __name__ == "__main__":
    run_targeted_attack(attack)
