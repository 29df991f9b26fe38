"""DeepFool against classifier and detector together, in two stages (section 4.3.3 of GRED): first fool, then go unseen."""

import numpy as np
import torch

from field_kit.model import to_pixels, to_tensor
from field_kit.stored import Stored, within_l2
from harness.sdk import Target, run_white_box_attack

STEPS, OVERSHOOT = 50, 0.02
CLASSES = 10  # of the data set; a target with one column more rejects, and the column is "adversarial"


def attack(images: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the target's own labels stand for the true ones. An image that is through stays where it is."""
    clean = to_tensor(images)
    net = Stored(target.logits, clean, 255)
    own = net(clean)[:, :CLASSES].argmax(1, keepdim=True)
    moved = clean.clone()
    for _ in range(STEPS):
        moved = moved.detach().requires_grad_()
        lead = least_lead(net(moved), own)
        (gradient,) = torch.autograd.grad(lead.sum(), moved)
        # To where the linearised lead is zero, and a little farther (arXiv 1511.04599, algorithm 2, with the runner-up alone).
        length = (lead.abs() + 1e-3) / gradient.square().sum((1, 2, 3)).clamp(min=1e-12)
        step = (1 + OVERSHOOT) * length[:, None, None, None] * gradient
        # A detector's slope explodes where the sensitivity is nearly none: no step is longer than one in the range of pixels.
        step = step / step.square().sum((1, 2, 3), keepdim=True).sqrt().clamp(min=1)
        moved = (moved + (lead <= 0)[:, None, None, None] * step).clamp(0, 1)
    return within_l2(images, to_pixels(moved), bound)


def least_lead(logits: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Return [n]: how far another class leads the own one, until it does; then how far it leads "adversarial"."""
    classes = logits[:, :CLASSES]
    fools = classes.scatter(1, own, -torch.inf).amax(1) - classes.gather(1, own)[:, 0]
    if logits.shape[1] == CLASSES:
        return fools
    return torch.where(fools > 0, classes.amax(1) - logits[:, CLASSES], fools)


if __name__ == "__main__":
    run_white_box_attack(attack)
