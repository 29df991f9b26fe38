"""A detector that looks at the input sensitivity of the classifier (GRED, section 2)."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from field_kit.sensitivity import log_odds, log_sensitivity
from harness.sdk import run_detector

CLASSIFIER = load(Path(__file__).with_name("model.json"))
NET = load(Path(__file__).with_name("sensitivity.json"))


@torch.no_grad()
def suspect(images: np.ndarray) -> np.ndarray:
    """Return the log-odds of adversarial for uint8 [n, h, w, 3]."""
    return log_odds(NET(log_sensitivity(CLASSIFIER, to_tensor(images)))).cpu().numpy()


if __name__ == "__main__":
    run_detector(suspect)
