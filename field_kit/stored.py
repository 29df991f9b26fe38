"""A net behind what the harness does to an adversarial image, for attacks of least norm."""

import numpy as np
import torch
from torch import nn


class Stored(nn.Module):
    """A net that sees images as they will be stored: clipped to epsilon around the clean ones, rounded to 8 bits.

    Gradients pass the rounding unchanged, so an attack of least norm optimises through it, and what it counts as a
    success still is one as a file (unrounded, up to nine in ten are lost).
    """

    def __init__(self, net: nn.Module, clean: torch.Tensor, epsilon: int) -> None:
        super().__init__()
        self.net = net
        self.low, self.high = (clean - epsilon / 255).clamp(min=0), (clean + epsilon / 255).clamp(max=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits for pixels in [0, 1], shape [n, 3, h, w]."""
        clipped = pixels.clamp(self.low, self.high)
        return self.net(clipped + ((clipped * 255).round() / 255 - clipped).detach())


def within_l2(images: np.ndarray, adversarial: np.ndarray, bound: int) -> np.ndarray:
    """Round to whole pixel values; an image whose change has an L2 norm beyond the bound (0..255 units) stays as it was.

    Cut back to the bound, an image of a least-norm attack would be one that fools nobody and has changed all the same.
    """
    rounded = np.rint(adversarial).clip(0, 255)
    norms = np.sqrt(((rounded - images) ** 2).sum(axis=(1, 2, 3), keepdims=True))
    return np.where(norms <= bound, rounded, images).astype(np.uint8)
