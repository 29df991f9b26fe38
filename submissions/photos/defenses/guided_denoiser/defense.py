"""High-level guided denoiser in front of EfficientNet-Lite 1 (Liao et al., arXiv 1712.02976; the winner of 2017)."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import load as load_spec
from field_kit.model import to_tensor
from harness.sdk import run_defense
from lite_nets import load

NET = load("lite1")
NOISE = load_spec(Path(__file__).with_name("denoiser.json"))


def logits(pixels: torch.Tensor) -> torch.Tensor:
    """Return the net's logits for the pixels, at the net's size, less the estimated noise."""
    small = F.interpolate(pixels, NET.size, mode="bilinear", align_corners=False, antialias=True)
    return NET((small - NOISE(small)).clamp(0, 1))


@torch.inference_mode()
def classify(images: np.ndarray) -> np.ndarray:
    """Return the net's labels for the denoised images."""
    return NET.labels(logits(to_tensor(images)))


if __name__ == "__main__":
    run_defense(classify, at_once=10)
