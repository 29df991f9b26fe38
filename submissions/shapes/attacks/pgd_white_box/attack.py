"""PGD against classifier and detector together, in two stages (section 4.3.3 of GRED): first fool, then go unseen."""

import numpy as np
import torch

from field_kit.model import to_pixels, to_tensor
from field_kit.stored import Stored
from harness.sdk import Target, run_white_box_attack, within

STEPS = 40
STEP = 1 / 8  # of epsilon
CLASSES = 10  # of the data set; a target with one column more rejects, and the column is "adversarial"


def attack(images: np.ndarray, epsilon: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the target's own labels stand for the true ones. An image that is through stays where it is."""
    clean = to_tensor(images)
    net = Stored(target.logits, clean, epsilon)
    own = net(clean)[:, :CLASSES].argmax(1, keepdim=True)
    moved = clean.clone()
    for _ in range(STEPS):
        moved = moved.clamp(net.low, net.high).detach().requires_grad_()
        lead = least_lead(net(moved), own)
        (gradient,) = torch.autograd.grad(lead.sum(), moved)
        moved = moved + (lead <= 0)[:, None, None, None] * STEP * epsilon / 255 * gradient.sign()
    return within(images, to_pixels(moved.clamp(net.low, net.high)), epsilon)


def least_lead(logits: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """Return [n]: how far another class leads the own one, until it does; then how far it leads "adversarial"."""
    classes = logits[:, :CLASSES]
    fools = classes.scatter(1, own, -torch.inf).amax(1) - classes.gather(1, own)[:, 0]
    if logits.shape[1] == CLASSES:
        return fools
    return torch.where(fools > 0, classes.amax(1) - logits[:, CLASSES], fools)


if __name__ == "__main__":
    run_white_box_attack(attack)
