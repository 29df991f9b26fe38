"""Adversarial transformation on an adversarially trained net ("One Man's Trash is Another Man's Treasure", section 3.2)."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from field_kit.transformation import Transformation
from harness.sdk import run_defense

NET = load(Path(__file__).parent / "base" / "model.json")
TRANSFORMATION = Transformation(load(Path(__file__).with_name("external.json")))


@torch.no_grad()
def answers(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and the scores that they are the largest of, for attacks that may ask for those."""
    found = NET(TRANSFORMATION(to_tensor(images)))
    return NET.labels(found), found.cpu().numpy()


def classify(images: np.ndarray) -> np.ndarray:
    """Return the classifier's labels for the transformed images."""
    return answers(images)[0]


if __name__ == "__main__":
    run_defense(answers)
