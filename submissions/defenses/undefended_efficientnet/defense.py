"""timm's small test EfficientNet, undefended."""

from pathlib import Path

import numpy as np
import torch
from model import load, to_tensor

from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))


@torch.inference_mode()
def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels."""
    return NET.labels(NET(to_tensor(images)))


if __name__ == "__main__":
    run_defense(classify)
