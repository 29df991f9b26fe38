"""Feature squeezing as a detector: how far the answer of EfficientNet-Lite 2 moves (arXiv 1704.01155, section V)."""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import to_tensor
from harness.sdk import run_detector
from lite_nets import load

NET = load("lite2")
BITS = 5


def squeezed(pixels: torch.Tensor) -> list[torch.Tensor]:
    """The paper's two for ImageNet: fewer bits, and a median over 2x2 pixels."""
    levels = 2**BITS - 1
    around = F.pad(pixels, (0, 1, 0, 1), mode="replicate")
    height, width = pixels.shape[-2:]
    four = torch.stack([around[..., top : top + height, left : left + width] for top in (0, 1) for left in (0, 1)])
    return [(pixels * levels).round() / levels, four.median(0).values]


@torch.inference_mode()
def scores(images: np.ndarray) -> np.ndarray:
    """Return the largest L1 distance between the probabilities for the image and for a squeezed one, 0 to 2."""
    pixels = to_tensor(images)
    plain = NET(pixels).softmax(1)
    return torch.stack([(NET(each).softmax(1) - plain).abs().sum(1) for each in squeezed(pixels)]).amax(0).cpu().numpy()


if __name__ == "__main__":
    run_detector(scores, at_once=10)
