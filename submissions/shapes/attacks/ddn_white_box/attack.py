"""DDN against classifier and detector together, in two stages (section 4.3.3 of GRED).

First the classes alone, to any other label; then all columns, "adversarial" among them, with that label as the target. foolbox has
the maths.
"""

from collections.abc import Callable

import foolbox
import numpy as np
import torch

from field_kit.model import to_pixels, to_tensor
from field_kit.stored import Stored, within_l2
from harness.sdk import Target, run_white_box_attack

Logits = Callable[[torch.Tensor], torch.Tensor]
METHOD = foolbox.attacks.DDNAttack(init_epsilon=1.0, steps=60, gamma=0.05)
CLASSES = 10  # of the data set; a target with one column more rejects, and the column is "adversarial"


def attack(images: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; an image that resists within the L2 bound stays as it is."""
    clean = to_tensor(images)
    with torch.no_grad():
        logits = target.logits(clean)
    own = logits[:, :CLASSES].argmax(1)
    found = least(lambda pixels: target.logits(pixels)[:, :CLASSES], clean, foolbox.criteria.Misclassification(own))
    if logits.shape[1] > CLASSES:
        with torch.no_grad():
            goal = Stored(target.logits, clean, 255)(found)[:, :CLASSES].argmax(1)
        second = least(target.logits, clean, foolbox.criteria.TargetedMisclassification(goal))
        # What goes unseen nowhere keeps what fools the classifier: the tournament judges.
        moved = (second != clean).any(dim=3).any(dim=2).any(dim=1)
        found = torch.where(moved[:, None, None, None], second, found)
    return within_l2(images, to_pixels(found), bound)


def least(logits: Logits, clean: torch.Tensor, criterion: foolbox.criteria.Criterion) -> torch.Tensor:
    """Run the attack of least norm through the rounding to 8 bits."""
    net = foolbox.PyTorchModel(Stored(logits, clean, 255).eval(), bounds=(0, 1), device=clean.device)
    return METHOD.run(net, clean, criterion)


if __name__ == "__main__":
    run_white_box_attack(attack)
