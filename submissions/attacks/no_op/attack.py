"""No attack: gives the clean images back. What any attack must beat."""

import numpy as np

from harness.sdk import run_attack


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:  # noqa: ARG001 - the contract's
    """Return uint8 [n, h, w, 3] unchanged."""
    return images


if __name__ == "__main__":
    run_attack(attack)
