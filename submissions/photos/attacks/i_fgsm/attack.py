"""I-FGSM, the basic iterative method: small steps along the sign of the gradient (arXiv 1607.02533, section 2.2)."""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import to_pixels, to_tensor
from harness.sdk import run_attack, within
from lite_nets import load

STEPS = 10
NET = load("lite0")


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the true labels are not given, the surrogate's own stand for them."""
    clean = to_tensor(images)
    labels = NET(clean).argmax(1)
    moved = clean
    for _ in range(STEPS):
        moved = moved.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(NET(moved), labels, reduction="sum"), moved)
        # Steps of epsilon / STEPS cannot leave the epsilon ball, only the range of pixels.
        moved = (moved + epsilon / 255 / STEPS * gradient.sign()).clamp(0, 1)
    return within(images, to_pixels(moved), epsilon)


if __name__ == "__main__":
    run_attack(attack, at_once=10)
