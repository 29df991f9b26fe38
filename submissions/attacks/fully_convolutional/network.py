"""The perturbation network: fully convolutional, so any image size; 60,000 parameters; shared with its training."""

import torch
from torch import nn
from torch.nn import functional as F


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class PerturbationNetwork(nn.Module):
    """Image and epsilon in, direction in [-1, 1] out, as an hourglass with a shortcut at full size."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.full = _block(4, width)
        self.coarse = nn.Sequential(_block(width, 2 * width, 2), _block(2 * width, 2 * width))
        self.up = _block(2 * width, width)
        self.out = nn.Sequential(_block(2 * width, width), nn.Conv2d(width, 3, 3, 1, 1))

    def forward(self, pixels: torch.Tensor, radius: torch.Tensor | float) -> torch.Tensor:
        """Return [n, 3, h, w]; ``pixels`` in [0, 1], ``radius`` (epsilon / 255) one number or one per image."""
        level = torch.as_tensor(radius, device=pixels.device).expand(len(pixels), 1, *pixels.shape[-2:])
        full = self.full(torch.cat([pixels * 2 - 1, level * 4], 1))
        half = F.interpolate(self.coarse(full), pixels.shape[-2:], mode="bilinear", align_corners=False)
        return self.out(torch.cat([full, self.up(half)], 1)).tanh()


def perturbation_network() -> PerturbationNetwork:
    """Return a fresh one, in the size that the committed weights have."""
    return PerturbationNetwork()
