"""A median filter in front of a private net (Xu et al., arXiv 1704.01155, section IV-B)."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from field_kit.model import load
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
MEDIAN = ImageFilter.MedianFilter(3)


def smooth(images: np.ndarray) -> np.ndarray:
    """Replace each pixel by the median of its 3x3 neighbourhood, per channel."""
    return np.stack([np.asarray(Image.fromarray(image).filter(MEDIAN)) for image in images])


def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels for the filtered images."""
    return NET.classify(smooth(images))


if __name__ == "__main__":
    run_defense(classify)
