"""Fewer bits per pixel in front of a private net (Xu et al., arXiv 1704.01155, section IV-A)."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
BITS = 3


def squeeze(images: np.ndarray) -> np.ndarray:
    """Round each pixel to one of 2^BITS evenly spaced levels, black and white among them."""
    step = 255 / (2**BITS - 1)
    return np.rint(np.rint(images / step) * step).astype(np.uint8)


@torch.inference_mode()
def answers(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and the scores that they are the largest of, for attacks that may ask for those."""
    found = NET(to_tensor(squeeze(images)))
    return NET.labels(found), found.cpu().numpy()


def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels for the filtered images."""
    return answers(images)[0]


if __name__ == "__main__":
    run_defense(answers)
