"""White-box transfer: attack the classifier without what stands before it (section 4.2 of the paper on the defense)."""

import numpy as np

from field_kit.white_box import pgd
from harness.sdk import Target, run_white_box_attack


def attack(images: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the target's ``transform``, if it has one, is never called for a gradient."""
    return pgd(images, bound, target, target.logits)


if __name__ == "__main__":
    run_white_box_attack(attack)
