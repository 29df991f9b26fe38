"""Carlini and Wagner's L2 attack (arXiv 1608.04644, section VI); foolbox has the maths."""

from pathlib import Path

import foolbox
import numpy as np
import torch

from field_kit.model import load, to_pixels, to_tensor
from field_kit.stored import Stored, within_l2
from harness.sdk import run_attack

NET = load(Path(__file__).parent / "model.json")
METHOD = foolbox.attacks.L2CarliniWagnerAttack(
    binary_search_steps=3, steps=40, stepsize=0.02, confidence=0.0, initial_const=1.0, abort_early=False
)


def attack(images: np.ndarray, bound: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; an image that resists within the L2 bound stays as it is."""
    clean = to_tensor(images)
    # 255: every pixel may change as far as it needs to, and is rounded.
    net = foolbox.PyTorchModel(Stored(NET, clean, 255).eval(), bounds=(0, 1), device=clean.device)
    criterion = foolbox.criteria.Misclassification(NET(clean).argmax(1))
    found = METHOD.run(net, clean, criterion)
    # foolbox leaves an image of zeros where it found nothing.
    found = torch.where(found.abs().amax((1, 2, 3), keepdim=True) > 0, found, clean)
    return within_l2(images, to_pixels(found), bound)


if __name__ == "__main__":
    run_attack(attack)
