"""Your attack: one function from clean images to adversarial ones."""

import numpy as np

from harness.sdk import run_attack, within

# Load a model here, before run_attack: where the harness serves batches, this happens once.
CHANCE = np.random.default_rng(0)


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3], no pixel farther than epsilon from the clean one."""
    signs = CHANCE.choice([-1, 1], images.shape)  # your idea goes here
    return within(images, images + epsilon * signs, epsilon)


if __name__ == "__main__":
    run_attack(attack)
