"""Three private nets of different families, each on its own random resizing (after Xie et al., arXiv 1711.01991)."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import load, to_tensor
from harness.sdk import run_defense

NETS = [load(Path(__file__).with_name(f"{name}.json")) for name in ("plain", "transformer", "mixer")]
SMALLEST, PATTERNS = 27, 4


def pattern(pixels: torch.Tensor) -> torch.Tensor:
    """Return the images at one random smaller size, at one random place on black."""
    whole = pixels.shape[-1]
    size = int(torch.randint(SMALLEST, whole + 1, ()))
    left, top = (int(torch.randint(whole - size + 1, ())) for _ in range(2))
    smaller = F.interpolate(pixels, (size, size), mode="bilinear", align_corners=False)
    return F.pad(smaller, (left, whole - size - left, top, whole - size - top))


def logits(pixels: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the mean probability over nets and patterns."""
    opinions = [net(pattern(pixels)).softmax(1) for net in NETS for _ in range(PATTERNS)]
    return torch.stack(opinions).mean(0).log()


@torch.inference_mode()
def classify(images: np.ndarray) -> np.ndarray:
    """Return the most probable labels."""
    return NETS[0].labels(logits(to_tensor(images)))


if __name__ == "__main__":
    run_defense(classify)
