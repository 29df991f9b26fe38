"""Carlini and Wagner's L2 attack with confidence, targeted (arXiv 1608.04644, section VI); foolbox has the maths."""

from pathlib import Path

import foolbox
import numpy as np
import torch

from field_kit.model import load, to_pixels, to_tensor
from field_kit.stored import Stored
from harness.sdk import run_targeted_attack, within

NET = load(Path(__file__).parent / "model.json")
ROUNDS, STEPS, RATE, CONFIDENCE = 3, 40, 0.05, 2.0
METHOD = foolbox.attacks.L2CarliniWagnerAttack(
    binary_search_steps=ROUNDS, steps=STEPS, stepsize=RATE, confidence=CONFIDENCE, initial_const=1.0, abort_early=False
)
# The change of variables that keeps pixels in range has no slope at the range's ends, and most of a digit is black:
# a wider range gives black pixels a slope, and Stored keeps the true one.
RANGE = (-0.25, 1.25)


def attack(images: np.ndarray, targets: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3] towards the target classes; an image that resists within epsilon stays as it is."""
    clean = to_tensor(images)
    net = foolbox.PyTorchModel(Stored(NET, clean, epsilon).eval(), bounds=RANGE, device=clean.device)
    classes = torch.from_numpy(targets - NET.label_offset).to(clean.device)
    criterion = foolbox.criteria.TargetedMisclassification(classes)
    found = METHOD.run(net, clean, criterion)
    # foolbox leaves an image of zeros where it found nothing.
    found = torch.where(found.abs().amax((1, 2, 3), keepdim=True) > 0, found, clean)
    return within(images, to_pixels(found), epsilon)


if __name__ == "__main__":
    run_targeted_attack(attack)
