"""PGD: iterated steps, each projected back to the epsilon ball, from a random start (arXiv 1706.06083, section 2.1)."""

import numpy as np

from field_kit.white_box import pgd
from harness.sdk import Target, run_white_box_attack


def attack(images: np.ndarray, epsilon: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the true labels are not given, the target's own stand for them."""
    return pgd(images, epsilon, target, target.logits)


if __name__ == "__main__":
    run_white_box_attack(attack)
