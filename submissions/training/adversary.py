"""The attacks inside adversarial training, one epsilon per image; and the white-box ones of the table of results."""

from collections.abc import Callable

import torch
from torch.nn import functional as F

Logits = Callable[[torch.Tensor], torch.Tensor]


def gradient(model: Logits, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the cross-entropy with respect to the pixels."""
    leaf = pixels.detach().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(model(leaf), labels, reduction="sum"), leaf)[0]


def fgsm(model: Logits, pixels: torch.Tensor, labels: torch.Tensor, epsilon: torch.Tensor) -> torch.Tensor:
    """Take one step along the sign of the gradient (arXiv 1412.6572), from a random start (arXiv 2001.03994)."""
    return _ascend(model, pixels, labels, epsilon, steps=1, step=1.25)


def pgd(
    model: Logits, pixels: torch.Tensor, labels: torch.Tensor, epsilon: torch.Tensor, steps: int = 5
) -> torch.Tensor:
    """Take several steps, each projected back, from a random start (arXiv 1706.06083)."""
    return _ascend(model, pixels, labels, epsilon, steps=steps, step=2.5 / steps)


def _ascend(
    model: Logits, pixels: torch.Tensor, labels: torch.Tensor, epsilon: torch.Tensor, *, steps: int, step: float
) -> torch.Tensor:
    low, high = (pixels - epsilon).clamp(0, 1), (pixels + epsilon).clamp(0, 1)
    moved = low + (high - low) * torch.rand_like(pixels)
    for _ in range(steps):
        moved = moved + step * epsilon * gradient(model, moved, labels).sign()
        moved = torch.minimum(torch.maximum(moved, low), high).detach()
    return moved


def random_epsilon(count: int, highest: float, device: torch.device) -> torch.Tensor:
    """Draw one epsilon per image, uniform up to ``highest`` of 255, shape [n, 1, 1, 1]."""
    return torch.rand(count, 1, 1, 1, device=device) * (highest / 255)
