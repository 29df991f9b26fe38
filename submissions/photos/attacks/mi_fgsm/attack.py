"""MI-FGSM: iterative FGSM with momentum (arXiv 1710.06081, algorithm 1)."""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import to_pixels, to_tensor
from harness.sdk import run_attack, within
from lite_nets import load

STEPS, DECAY = 10, 1.0
NETS = [load("lite0")]


def fused(pixels: torch.Tensor) -> torch.Tensor:
    """Return the mean of the nets' logits: fusing before the softmax keeps a net that is certain from hiding the others."""
    return torch.stack([net(pixels) for net in NETS]).mean(0)


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the true labels are not given, the nets' own stand for them."""
    clean = to_tensor(images)
    labels = fused(clean).argmax(1)
    moved, momentum = clean, torch.zeros_like(clean)
    for _ in range(STEPS):
        moved = moved.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(fused(moved), labels, reduction="sum"), moved)
        # A net that is certain gives a gradient of exactly zero: the floor keeps 0 / 0 out of the momentum.
        momentum = DECAY * momentum + gradient / gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-30)
        moved = (moved + epsilon / 255 / STEPS * momentum.sign()).clamp(0, 1)
    return within(images, to_pixels(moved), epsilon)


if __name__ == "__main__":
    run_attack(attack, at_once=10)
