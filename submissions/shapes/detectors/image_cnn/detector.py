"""A detector that looks at the image alone: a small convolutional net (Gong et al., arXiv 1704.04960)."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from field_kit.sensitivity import log_odds
from harness.sdk import run_detector

NET = load(Path(__file__).with_name("image.json"))


@torch.inference_mode()
def suspect(images: np.ndarray) -> np.ndarray:
    """Return the log-odds of adversarial for uint8 [n, h, w, 3]."""
    return log_odds(NET(to_tensor(images))).cpu().numpy()


if __name__ == "__main__":
    run_detector(suspect)
