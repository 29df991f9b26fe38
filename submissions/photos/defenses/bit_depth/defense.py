"""Fewer bits per pixel in front of EfficientNet-Lite 2 (Xu et al., arXiv 1704.01155, section IV-A)."""

import numpy as np

from harness.sdk import run_defense
from lite_nets import load

NET = load("lite2")
BITS = 3


def squeeze(images: np.ndarray) -> np.ndarray:
    """Round each pixel to one of 2^BITS evenly spaced levels, black and white among them."""
    step = 255 / (2**BITS - 1)
    return np.rint(np.rint(images / step) * step).astype(np.uint8)


def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels for the filtered images."""
    return NET.classify(squeeze(images))


if __name__ == "__main__":
    run_defense(classify, at_once=10)
