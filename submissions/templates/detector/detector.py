"""Your detector: one function from images to numbers, higher for images that it takes for adversarial."""

import numpy as np

from harness.sdk import run_detector


def suspect(images: np.ndarray) -> np.ndarray:
    """Return one score per image of uint8 [n, h, w, 3]."""
    pixels = images.astype(np.float32)
    return np.abs(np.diff(pixels, n=2, axis=2)).mean(axis=(1, 2, 3))  # your idea goes here


if __name__ == "__main__":
    run_detector(suspect)
