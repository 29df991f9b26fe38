"""Steps towards the target in three phases of falling size on jittered copies: the targeted runner-up of 2017 (arXiv 1804.00097).

Noise and a random affine map inside each gradient keep the steps from fitting one position of one net.
"""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import to_pixels, to_tensor
from harness.sdk import run_targeted_attack, within
from lite_nets import load

#: Steps, and the size of each as a share of epsilon: large ones to get away, small ones to settle.
PHASES = ((9, 1 / 4), (6, 1 / 8), (4, 1 / 16))
NOISE = 0.2  # of epsilon
#: Of the affine map: how far its matrix and its shift are from doing nothing, at most, as a share of the image.
JITTER = 0.1
NETS = [load("lite0"), load("lite1")]


def jittered(pixels: torch.Tensor, radius: float, draw: torch.Generator) -> torch.Tensor:
    """Add noise and map each image by an affine map of its own, what comes in from outside being its edge."""
    noise = torch.rand(pixels.shape, generator=draw).to(pixels.device) * 2 - 1
    matrix = torch.eye(2, 3) + JITTER * (torch.rand((len(pixels), 2, 3), generator=draw) * 2 - 1)
    grid = F.affine_grid(matrix.to(pixels.device), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels + NOISE * radius * noise, grid, padding_mode="border", align_corners=False)


def attack(images: np.ndarray, targets: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3], towards the target classes."""
    clean, radius, draw = to_tensor(images), epsilon / 255, torch.Generator().manual_seed(0)
    classes = torch.from_numpy(targets - NETS[0].label_offset).to(clean.device)
    low, high = (clean - radius).clamp(min=0), (clean + radius).clamp(max=1)
    moved = clean
    for steps, share in PHASES:
        for _ in range(steps):
            moved = moved.detach().requires_grad_()
            logits = torch.stack([net(jittered(moved, radius, draw)) for net in NETS]).mean(0)
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, classes, reduction="sum"), moved)
            moved = (moved - share * radius * gradient.sign()).clamp(low, high)
    return within(images, to_pixels(moved), epsilon)


if __name__ == "__main__":
    run_targeted_attack(attack, at_once=10)
