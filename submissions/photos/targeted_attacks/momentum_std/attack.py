"""The targeted winner of 2017: momentum over gradients divided by their standard deviation, steps rounded to whole numbers.

Where the sign moves every pixel alike, these steps move those most that matter most (0, 1 or 2 units), which targets need.
"""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import to_pixels, to_tensor
from harness.sdk import run_targeted_attack, within
from lite_nets import load

STEPS, DECAY = 10, 1.0
NETS = [load("lite0"), load("lite1")]


def scaled(gradient: torch.Tensor) -> torch.Tensor:
    """Divide by the standard deviation of each image; a gradient of zero stays zero."""
    return gradient / gradient.std((1, 2, 3), keepdim=True).clamp(min=1e-30)


def step(momentum: torch.Tensor) -> torch.Tensor:
    """Whole numbers from -2 to 2."""
    return scaled(momentum).round().clamp(-2, 2)


def attack(images: np.ndarray, targets: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3], towards the target classes."""
    clean, radius = to_tensor(images), epsilon / 255
    classes = torch.from_numpy(targets - NETS[0].label_offset).to(clean.device)
    low, high = (clean - radius).clamp(min=0), (clean + radius).clamp(max=1)
    moved, momentum = clean, torch.zeros_like(clean)
    for _ in range(STEPS):
        moved = moved.detach().requires_grad_()
        logits = torch.stack([net(moved) for net in NETS]).mean(0)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, classes, reduction="sum"), moved)
        momentum = DECAY * momentum + scaled(gradient)
        moved = (moved - radius / STEPS * step(momentum)).clamp(low, high)
    return within(images, to_pixels(moved), epsilon)


if __name__ == "__main__":
    run_targeted_attack(attack, at_once=10)
