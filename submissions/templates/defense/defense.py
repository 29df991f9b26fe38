"""Your defense: one function from images to labels."""

from pathlib import Path

import numpy as np
import torch
from model import load, to_tensor

from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))


@torch.inference_mode()
def classify(images: np.ndarray) -> np.ndarray:
    """Return one label per image of uint8 [n, h, w, 3]."""
    pixels = to_tensor(images)
    pixels = (pixels * 3).round() / 3  # your idea goes here
    return NET.labels(NET(pixels))


if __name__ == "__main__":
    run_defense(classify)
