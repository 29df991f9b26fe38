"""JPEG compression in front of a private net (Dziugaite et al., arXiv 1608.00853; Guo et al., arXiv 1711.00117)."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from field_kit.model import load, to_tensor
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


@torch.inference_mode()
def answers(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and the scores that they are the largest of, for attacks that may ask for those."""
    found = NET(to_tensor(compress(images)))
    return NET.labels(found), found.cpu().numpy()


def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels for the filtered images."""
    return answers(images)[0]


if __name__ == "__main__":
    run_defense(answers)
