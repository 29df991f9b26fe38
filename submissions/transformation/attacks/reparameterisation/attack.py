"""Reparameterisation: a net learns what stands before the classifier, and PGD goes through the net (arXiv 1802.00420)."""

import numpy as np
import torch

from field_kit.model import DEVICE, to_tensor
from field_kit.nets import denoiser
from field_kit.white_box import pgd
from harness.sdk import Target, run_white_box_attack

#: Transformed copies of each image, and passes over all of them.
COPIES, PASSES, BATCH, RATE = 8, 10, 40, 5e-3


class Reparameterised(torch.nn.Module):
    """Pixels to transformed pixels, by a fully convolutional net that estimates the change."""

    def __init__(self) -> None:
        super().__init__()
        self.change = denoiser()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return [n, 3, h, w]."""
        return pixels + self.change(pixels)


def learnt(target: Target, pixels: torch.Tensor, radius: float) -> Reparameterised:
    """Fit a net to the target's transform on these images and noise within the bound (least squares)."""
    torch.manual_seed(0)
    net = Reparameterised().to(DEVICE)
    near = torch.cat([(pixels + radius * (2 * torch.rand_like(pixels) - 1)).clamp(0, 1) for _ in range(COPIES)])
    with torch.no_grad():
        wanted = torch.cat([target.transform(part) for part in near.split(BATCH)])
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    for _ in range(PASSES):
        for part in torch.randperm(len(near)).split(BATCH):
            optimiser.zero_grad()
            torch.nn.functional.mse_loss(net(near[part]), wanted[part]).backward()
            optimiser.step()
    return net.eval().requires_grad_(requires_grad=False)


def attack(images: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3]."""
    pixels = to_tensor(images)
    if target.transform(pixels) is pixels:
        return pgd(images, bound, target, target.logits)
    net = learnt(target, pixels, bound / 255)
    return pgd(images, bound, target, lambda pixels: target.logits(net(pixels)))


if __name__ == "__main__":
    run_white_box_attack(attack)
