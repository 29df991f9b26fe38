"""GRED's detector: of a net on the image and a net on its input sensitivity, the more certain one decides (section 3.1)."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from field_kit.sensitivity import Detector
from harness.sdk import run_detector

DETECTOR = Detector(*(load(Path(__file__).with_name(f"{name}.json")) for name in ("model", "image", "sensitivity")))


@torch.no_grad()
def suspect(images: np.ndarray) -> np.ndarray:
    """Return the log-odds of adversarial for uint8 [n, h, w, 3]."""
    return DETECTOR(to_tensor(images)).cpu().numpy()


if __name__ == "__main__":
    run_detector(suspect)
