"""EOT: PGD along the mean gradient over a defense's randomness (Athalye et al., arXiv 1707.07397)."""

import numpy as np

from field_kit.white_box import pass_identity, pgd
from harness.sdk import Target, run_white_box_attack

#: Calls of the defense for each gradient. The paper takes up to 500, at fifty times the time.
SAMPLES = 10


def attack(images: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; a transform is the identity backwards, and what is not random is called once."""
    samples = SAMPLES if target.randomised else 1
    return pgd(images, bound, target, lambda pixels: pass_identity(target, pixels), samples=samples)


if __name__ == "__main__":
    run_white_box_attack(attack)
