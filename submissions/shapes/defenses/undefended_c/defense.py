"""A separable net for the rendered shapes, undefended."""

from pathlib import Path

import numpy as np
import torch

from field_kit.model import load, to_tensor
from harness.sdk import run_defense

NET = load(Path(__file__).with_name("model.json"))
classify = NET.classify


@torch.inference_mode()
def answers(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, and the scores that they are the largest of, for attacks that may ask for those."""
    found = NET(to_tensor(images))
    return NET.labels(found), found.cpu().numpy()


if __name__ == "__main__":
    run_defense(answers)
