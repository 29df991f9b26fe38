"""DDN, targeted, against classifier and detector as one.

Together they are a classifier with one class more, "adversarial" (arXiv 1705.07263, section 3.2).
"""

import foolbox
import numpy as np
import torch

from field_kit.model import to_pixels, to_tensor
from field_kit.stored import Stored, within_l2
from harness.sdk import Target, run_targeted_white_box_attack

METHOD = foolbox.attacks.DDNAttack(init_epsilon=1.0, steps=60, gamma=0.05)


def attack(images: np.ndarray, targets: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3] towards the target classes; an image that resists within the L2 bound stays as it is."""
    clean = to_tensor(images)
    net = foolbox.PyTorchModel(Stored(target.logits, clean, 255).eval(), bounds=(0, 1), device=clean.device)
    classes = torch.from_numpy(targets - target.label_offset).to(clean.device)
    found = METHOD.run(net, clean, foolbox.criteria.TargetedMisclassification(classes))
    return within_l2(images, to_pixels(found), bound)


if __name__ == "__main__":
    run_targeted_white_box_attack(attack)
