"""The 2022 contest's detector of patches: an autoencoder cannot put a patch of noise together again."""

from pathlib import Path

import numpy as np

from field_kit.model import load
from field_kit.traces import largest_error
from harness.sdk import run_detector

AUTOENCODER = load(Path(__file__).with_name("autoencoder.json"))


def suspect(images: np.ndarray) -> np.ndarray:
    """Return the largest error of any pixel's reconstruction, 0..1."""
    return largest_error(AUTOENCODER, images)


if __name__ == "__main__":
    run_detector(suspect)
