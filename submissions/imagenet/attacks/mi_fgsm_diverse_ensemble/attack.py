"""MI-FGSM on an ensemble, each gradient taken at a randomly resized, padded and noisy copy.

Random perturbation and augmentation inside the gradient were the idea of the second place of 2017 (arXiv 1804.00097,
section 5.2); resizing and padding as in arXiv 1803.06978.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import run_attack, within

STEPS, DECAY = 20, 1.0
SMALLEST = 0.75  # of the width
NOISE = 0.25  # of epsilon
NETS = [load(spec) for spec in sorted(Path(__file__).parent.glob("net_*.json"))]


def varied(pixels: torch.Tensor, radius: float, draw: torch.Generator) -> torch.Tensor:
    """Add noise, shrink, and pad to the old size at a random place; the same draw for all images of a batch."""
    height, width = pixels.shape[-2:]
    noise = torch.rand(pixels.shape[1:], generator=draw).to(pixels.device) * 2 - 1
    scale = SMALLEST + (1 - SMALLEST) * torch.rand((), generator=draw).item()
    new = round(height * scale), round(width * scale)
    top, left = (int(torch.randint(room + 1, (), generator=draw)) for room in (height - new[0], width - new[1]))
    small = F.interpolate(pixels + NOISE * radius * noise, new, mode="bilinear", align_corners=False)
    return F.pad(small, (left, width - new[1] - left, top, height - new[0] - top))


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the true labels are not given, the ensemble's own stand for them."""
    clean, radius, draw = to_tensor(images), epsilon / 255, torch.Generator().manual_seed(0)
    labels = sum(net(clean) for net in NETS).argmax(1)
    low, high = (clean - radius).clamp(min=0), (clean + radius).clamp(max=1)
    moved, momentum = clean, torch.zeros_like(clean)
    for _ in range(STEPS):
        moved = moved.detach().requires_grad_()
        logits = torch.stack([net(varied(moved, radius, draw)) for net in NETS]).mean(0)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), moved)
        # A net that is certain gives a gradient of exactly zero: the floor keeps 0 / 0 out of the momentum.
        momentum = DECAY * momentum + gradient / gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-30)
        moved = (moved + 2 * radius / STEPS * momentum.sign()).clamp(low, high)
    return within(images, to_pixels(moved), epsilon)


if __name__ == "__main__":
    run_attack(attack, at_once=2)
