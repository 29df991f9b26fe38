"""MagNet's reformer: the classifier sees an image as the autoencoder puts it together (arXiv 1705.09064, section 4.4)."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
AUTOENCODER = load(Path(__file__).with_name("autoencoder.json"))


def logits(pixels: torch.Tensor) -> torch.Tensor:
    """Return the net's logits for the reformed pixels."""
    return NET(AUTOENCODER(pixels))


@torch.inference_mode()
def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels for the reformed images."""
    return NET.labels(logits(to_tensor(images)))


if __name__ == "__main__":
    run_defense(classify)
