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
def answers(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and the scores that they are the largest of, for attacks that may ask for those."""
    found = logits(to_tensor(images))
    return NET.labels(found), found.cpu().numpy()


def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels for the reformed images."""
    return answers(images)[0]


if __name__ == "__main__":
    run_defense(answers)
