"""The entropy of a classifier's answer: an image just over a boundary leaves it undecided."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from harness.sdk import run_detector

NET = load(Path(__file__).with_name("model.json"))


@torch.inference_mode()
def suspect(images: np.ndarray) -> np.ndarray:
    """Return the entropy in nats."""
    log_p = NET(to_tensor(images)).double().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1).cpu().numpy()


if __name__ == "__main__":
    run_detector(suspect)
