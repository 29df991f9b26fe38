"""PGD, targeted, against classifier and detector as one classifier with a class "adversarial" (arXiv 1705.07263, section 3.2)."""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import to_pixels, to_tensor
from field_kit.stored import Stored
from harness.sdk import Target, run_targeted_white_box_attack, within

STEPS = 40
STEP = 1 / 8  # of epsilon


def attack(images: np.ndarray, targets: np.ndarray, epsilon: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3], towards the target classes; an image that is there stays where it is."""
    clean = to_tensor(images)
    classes = torch.from_numpy(targets - target.label_offset).to(clean.device)
    net = Stored(target.logits, clean, epsilon)
    moved = clean.clone()
    for _ in range(STEPS):
        moved = moved.clamp(net.low, net.high).detach().requires_grad_()
        logits = net(moved)
        (gradient,) = torch.autograd.grad(F.cross_entropy(logits, classes, reduction="sum"), moved)
        there = logits.argmax(1) == classes
        moved = moved - ~there[:, None, None, None] * STEP * epsilon / 255 * gradient.sign()
    return within(images, to_pixels(moved.clamp(net.low, net.high)), epsilon)


if __name__ == "__main__":
    run_targeted_white_box_attack(attack)
