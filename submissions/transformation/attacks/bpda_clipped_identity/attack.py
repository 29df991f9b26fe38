"""BPDA with the clipped identity's derivative in the place of the sign's (Athalye et al., arXiv 1802.00420)."""

import numpy as np
import torch

from field_kit.white_box import pass_smooth, pgd
from harness.sdk import Target, run_white_box_attack


def derivative(values: torch.Tensor) -> torch.Tensor:
    """Return what stands for the derivative of sign(values)."""
    return (values.abs() <= 1).to(values.dtype)


def attack(images: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]."""
    return pgd(images, bound, target, lambda pixels: pass_smooth(target, pixels, derivative))


if __name__ == "__main__":
    run_white_box_attack(attack)
