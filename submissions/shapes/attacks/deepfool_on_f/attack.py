"""DeepFool, L2: step to the nearest linearised decision boundary (arXiv 1511.04599, algorithm 2); foolbox has the maths."""

from pathlib import Path

import foolbox
import numpy as np

from field_kit.model import load, to_pixels, to_tensor
from field_kit.stored import Stored, within_l2
from harness.sdk import run_attack

NET = load(Path(__file__).parent / "model.json")
METHOD = foolbox.attacks.L2DeepFoolAttack(steps=30, candidates=5, overshoot=0.02)


def attack(images: np.ndarray, bound: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; an image that resists within the L2 bound stays as it is."""
    clean = to_tensor(images)
    # 255: every pixel may change as far as it needs to, and is rounded.
    net = foolbox.PyTorchModel(Stored(NET, clean, 255).eval(), bounds=(0, 1), device=clean.device)
    criterion = foolbox.criteria.Misclassification(NET(clean).argmax(1))
    return within_l2(images, to_pixels(METHOD.run(net, clean, criterion)), bound)


if __name__ == "__main__":
    run_attack(attack)
