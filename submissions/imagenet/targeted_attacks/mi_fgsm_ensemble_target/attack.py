"""MI-FGSM towards the target class on an ensemble fused in logits: the winner of 2017 (arXiv 1710.06081, section 3.5)."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import load, to_pixels, to_tensor
from harness.sdk import run_targeted_attack, within

STEPS, DECAY = 20, 1.0
NETS = [load(spec) for spec in sorted(Path(__file__).parent.glob("net_*.json"))]


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
        # A net that is certain gives a gradient of exactly zero: the floor keeps 0 / 0 out of the momentum.
        momentum = DECAY * momentum + gradient / gradient.abs().mean((1, 2, 3), keepdim=True).clamp(min=1e-30)
        moved = (moved - 2 * radius / STEPS * momentum.sign()).clamp(low, high)
    return within(images, to_pixels(moved), epsilon)


if __name__ == "__main__":
    run_targeted_attack(attack, at_once=2)
