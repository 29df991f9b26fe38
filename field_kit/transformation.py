"""Adversarial transformation: an image is moved to where a fixed external net is fooled, before a classifier sees it.

From the paper "One Man's Trash is Another Man's Treasure: Resisting Adversarial Examples by Adversarial Examples" (section 3.2):
PGD towards the class that the net finds least likely for the image, from a random start.
"""

import torch
from torch import nn


class Transformation(nn.Module):
    """Transform pixels in [0, 1], shape [n, 3, h, w]; what comes out leaves that range by up to ``delta``.

    Where the caller records gradients, they pass through every step, second derivatives of the net included. That of the sign
    is zero, as torch has it: an attack puts its own in its place (``field_kit.white_box``).
    """

    def __init__(self, net: nn.Module, *, delta: float = 0.2, steps: int = 13, step: float = 0.04) -> None:
        super().__init__()
        self.net, self.delta, self.steps, self.step = net, delta, steps, step

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Start anywhere in the ball, anew in each call."""
        return self.moved_from(pixels + self.delta * (2 * torch.rand_like(pixels) - 1), pixels)

    def moved_from(self, start: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Take the steps from a given start: the part that is not random."""
        with torch.no_grad():
            targets = self.net(pixels).argmin(1)
        recorded = torch.is_grad_enabled() and (pixels.requires_grad or start.requires_grad)
        moved = start
        for _ in range(self.steps):
            moved = self.projected(moved - self.step * self._gradient(moved, targets, recorded=recorded).sign(), pixels)
        return moved

    def projected(self, moved: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Cut to the ball: no value further than ``delta`` from its own in ``pixels``."""
        return torch.clamp(moved, pixels - self.delta, pixels + self.delta)

    def _gradient(self, moved: torch.Tensor, targets: torch.Tensor, *, recorded: bool) -> torch.Tensor:
        with torch.enable_grad():
            if not recorded:
                moved = moved.detach().requires_grad_()
            loss = nn.functional.cross_entropy(self.net(moved), targets, reduction="sum")
            return torch.autograd.grad(loss, moved, create_graph=recorded)[0]
