"""Random resizing and padding over the net that no attack has (Xie et al., arXiv 1711.01991, section 3; second place in 2017)."""

import numpy as np
import torch
from torch.nn import functional as F

from field_kit.model import to_tensor
from harness.sdk import run_defense
from lite_nets import load

#: The paper's: from 299 up to 330, on a frame of 331; the net takes 331 as it is.
WHOLE = 331
#: The paper averages 30, for which one core here would need a second and a half per image.
PATTERNS = 5
NET = load("lite2", WHOLE)


def pattern(pixels: torch.Tensor) -> torch.Tensor:
    """Return the images at one random larger size, at one random place on mid-grey."""
    size = int(torch.randint(pixels.shape[-1], WHOLE, ()))
    left, top = (int(torch.randint(WHOLE - size + 1, ())) for _ in range(2))
    larger = F.interpolate(pixels, (size, size), mode="nearest")
    return F.pad(larger, (left, WHOLE - size - left, top, WHOLE - size - top), value=0.5)


def logits(pixels: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the sum of the probabilities over all patterns."""
    return torch.stack([NET(pattern(pixels)).log_softmax(1) for _ in range(PATTERNS)]).logsumexp(0)


@torch.inference_mode()
def classify(images: np.ndarray) -> np.ndarray:
    """Return the labels that are most probable over all patterns."""
    return NET.labels(logits(to_tensor(images)))


if __name__ == "__main__":
    run_defense(classify, at_once=10)
