"""JPEG compression in front of a private net (Dziugaite et al., arXiv 1608.00853; Guo et al., arXiv 1711.00117)."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from field_kit.model import load
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
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
    run_defense(classify)
