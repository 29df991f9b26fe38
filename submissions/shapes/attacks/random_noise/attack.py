"""Random sign noise: each value of each pixel moves by +epsilon or -epsilon, by a coin."""

import zlib

import numpy as np

from harness.sdk import run_attack, within


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; an image's noise depends on nothing but the image."""
    signs = [np.random.default_rng(zlib.crc32(image)).choice((-1, 1), image.shape) for image in images]
    return within(images, images + epsilon * np.stack(signs), epsilon)


if __name__ == "__main__":
    run_attack(attack)
