"""DeepFool, L2: step to the nearest linearised decision boundary (arXiv 1511.04599, algorithm 2); foolbox has the maths."""

from pathlib import Path

import foolbox
import numpy as np

from field_kit.model import load, to_pixels, to_tensor
from field_kit.stored import Stored
from harness.sdk import run_attack, within

NET = load(Path(__file__).parent / "model.json")
METHOD = foolbox.attacks.L2DeepFoolAttack(steps=10, candidates=4, overshoot=0.02)


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the true labels are not given, the surrogate's own stand for them."""
    clean = to_tensor(images)
    net = foolbox.PyTorchModel(Stored(NET, clean, epsilon).eval(), bounds=(0, 1), device=clean.device)
    found = METHOD.run(net, clean, foolbox.criteria.Misclassification(NET(clean).argmax(1)))
    return within(images, to_pixels(found), epsilon)


if __name__ == "__main__":
    run_attack(attack)
