"""FGSM: one step of size epsilon along the sign of the gradient (arXiv 1412.6572, section 4)."""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import to_pixels, to_tensor
from harness.sdk import run_attack, within
from lite_nets import load

NET = load("lite0")


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the true labels are not given, the surrogate's own stand for them."""
    pixels = to_tensor(images).requires_grad_()
    logits = NET(pixels)
    loss = F.cross_entropy(logits, logits.argmax(1), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, pixels)
    return within(images, to_pixels(pixels + epsilon / 255 * gradient.sign()), epsilon)


if __name__ == "__main__":
    run_attack(attack, at_once=10)
