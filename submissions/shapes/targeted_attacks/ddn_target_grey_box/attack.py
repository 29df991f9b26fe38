"""DDN: direction and norm decoupled, least L2 norm, targeted (arXiv 1811.09600, algorithm 1); foolbox has the maths."""

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
    # 255: every pixel may change as far as it needs to, and is rounded.
    net = foolbox.PyTorchModel(Stored(target.logits, clean, 255).eval(), bounds=(0, 1), device=clean.device)
    classes = torch.from_numpy(targets - target.label_offset).to(clean.device)
    criterion = foolbox.criteria.TargetedMisclassification(classes)
    return within_l2(images, to_pixels(METHOD.run(net, clean, criterion)), bound)


if __name__ == "__main__":
    run_targeted_white_box_attack(attack)
