"""JPEG compression in front of EfficientNet-Lite 2 (Dziugaite et al., arXiv 1608.00853; Guo et al., arXiv 1711.00117)."""

import io

import numpy as np
from PIL import Image

from harness.sdk import run_defense
from lite_nets import load

NET = load("lite2")
QUALITY = 75


def compress(images: np.ndarray) -> np.ndarray:
    """Write each image as JPEG and read it back."""
    filtered = np.empty_like(images)
    for index, image in enumerate(images):
        file = io.BytesIO()
        Image.fromarray(image).save(file, format="JPEG", quality=QUALITY)
        filtered[index] = np.asarray(Image.open(file))
    return filtered


def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels for the filtered images."""
    return NET.classify(compress(images))


if __name__ == "__main__":
    run_defense(classify, at_once=10)
