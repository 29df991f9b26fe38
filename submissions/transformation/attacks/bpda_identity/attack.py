"""BPDA-I: backwards, what stands before the net is the identity (Athalye et al., arXiv 1802.00420, section 4.1)."""

import numpy as np

from field_kit.white_box import pass_identity, pgd
from harness.sdk import Target, run_white_box_attack


def attack(images: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]."""
    return pgd(images, bound, target, lambda pixels: pass_identity(target, pixels))


if __name__ == "__main__":
    run_white_box_attack(attack)
