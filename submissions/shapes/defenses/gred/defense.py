"""GRED: detect, then rectify. What the detector flags goes to a copy of f that was tuned on swapped pixels, the rest to f."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from field_kit.sensitivity import Detector
from harness.sdk import run_defense

NET, IMAGE, SENSITIVITY, RECTIFIER = (
    load(Path(__file__).with_name(f"{name}.json")) for name in ("model", "image", "sensitivity", "rectifier")
)
DETECTOR = Detector(NET, IMAGE, SENSITIVITY)


def logits(pixels: torch.Tensor) -> torch.Tensor:
    """Return [n, 10]: the rectifier's logits where the detector says adversarial, f's elsewhere."""
    return torch.where((DETECTOR(pixels) > 0)[:, None], RECTIFIER(pixels), NET(pixels))


@torch.no_grad()
def classify(images: np.ndarray) -> np.ndarray:
    """Return labels for uint8 [n, h, w, 3]."""
    return NET.labels(logits(to_tensor(images)))


if __name__ == "__main__":
    run_defense(classify)
