"""FGSM: one step of size epsilon along the sign of the gradient (arXiv 1412.6572, section 4)."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import run_attack, within

NET = load(Path(__file__).parent / "model.json")


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the true labels are not given, the net's own stand for them."""
    pixels = to_tensor(images).requires_grad_()
    logits = NET(pixels)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits, logits.argmax(1), reduction="sum"), pixels)
    return within(images, to_pixels(pixels + epsilon / 255 * gradient.sign()), epsilon)


if __name__ == "__main__":
    run_attack(attack)
