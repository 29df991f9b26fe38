"""GRED's detector in front of f: what it flags is answered -1, adversarial."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from field_kit.sensitivity import Detector
from harness.sdk import run_defense

NET, IMAGE, SENSITIVITY = (load(Path(__file__).with_name(f"{name}.json")) for name in ("model", "image", "sensitivity"))
DETECTOR = Detector(NET, IMAGE, SENSITIVITY)


def logits(pixels: torch.Tensor) -> torch.Tensor:
    """Return [n, 11]: f's logits, and "adversarial" as one class more, the largest where the detector says so.

    Carlini and Wagner's construction (arXiv 1705.07263, section 3.2), with the detector's log-odds added to f's largest logit
    instead of multiplied: the same decision, whatever the sign of f's logits.
    """
    classes = NET(pixels)
    return torch.cat([classes, (classes.amax(1) + DETECTOR(pixels))[:, None]], 1)


@torch.no_grad()
def labels(pixels: torch.Tensor) -> np.ndarray:
    """Return the answers [n], -1 for what is taken for adversarial."""
    found = logits(pixels)
    rejected = (found.argmax(1) == found.shape[1] - 1).cpu().numpy()
    return np.where(rejected, -1, NET.labels(found))


def classify(images: np.ndarray) -> np.ndarray:
    """Return labels for uint8 [n, h, w, 3]."""
    return labels(to_tensor(images))


if __name__ == "__main__":
    run_defense(classify)
