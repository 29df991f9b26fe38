"""What attacks share that know the code of the defense they are up against, and what such a defense gives them.

A defense says how it may be attacked in ``whitebox.py``: ``logits``, which torch differentiates, and where something stands before
them that torch cannot differentiate, ``transform``: the defense labels ``logits(transform(pixels))``. An attack chooses how it
goes back through the transform (``pass_identity``, ``pass_smooth``, or a net of its own) and leaves the steps to ``pgd``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from field_kit.model import DEVICE, to_pixels, to_tensor
from harness.sdk import within

#: Any point of the ball can be reached, as in ``submissions/attacks/pgd``. Few steps: each may call a slow defense often.
STEPS = 10
STEP = 2.5 / STEPS

Function = Callable[[torch.Tensor], torch.Tensor]


class OpenDefense:
    """A defense as its attackers see it: what ``load`` of a ``whitebox.py`` returns, to become a ``harness.sdk.Target``.

    Attributes:
        logits: Float [n, 3, h, w] in [0, 1] to logits [n, classes]; of what ``transform`` returns, where there is one.
        transform: Pixels to pixels of the same shape.
        randomised: Whether two calls may differ.
        label_offset: Label = class + offset.
    """

    def __init__(
        self, logits: Function, transform: Function | None = None, *, randomised: bool = False, label_offset: int = 0
    ) -> None:
        self.logits, self.randomised, self.label_offset = logits, randomised, label_offset
        self.transform = transform or (lambda pixels: pixels)

    @torch.no_grad()
    def predict(self, pixels: torch.Tensor) -> np.ndarray:
        """Return the defense's own labels, int64 [n]."""
        return self.logits(self.transform(pixels)).argmax(1).cpu().numpy() + self.label_offset


def on_images(filtered: Callable[[np.ndarray], np.ndarray]) -> Function:
    """Make a filter of uint8 images [n, h, w, 3] one of tensors; it rounds as a file does."""

    def transform(pixels: torch.Tensor) -> torch.Tensor:
        return to_tensor(filtered(np.rint(to_pixels(pixels)).clip(0, 255).astype(np.uint8)))

    return transform


def classes_of(target: Any, pixels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    """Return the classes that the target answers, int64 [n]: true labels are not given, these stand for them."""
    return torch.from_numpy(target.predict(pixels) - target.label_offset).to(pixels.device)


def pass_identity(target: Any, pixels: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
    """Return logits forwards through the transform, backwards as if it were not there (BPDA-I; arXiv 1802.00420, section 4.1)."""
    with torch.no_grad():
        change = target.transform(pixels) - pixels
    return target.logits(pixels + change)


def pass_smooth(target: Any, pixels: torch.Tensor, derivative: Function) -> torch.Tensor:  # noqa: ANN401
    """Return logits forwards through the transform, backwards with ``derivative`` in the place of the sign's (BPDA).

    A projection keeps its own derivative, which is exact: one inside, and outside that of the edge. A transform that torch
    cannot follow at all is passed as the identity.
    """
    with SmoothSign(derivative):
        transformed = target.transform(pixels)
    if not transformed.requires_grad:
        return pass_identity(target, pixels)
    return target.logits(transformed)


class SmoothSign(TorchFunctionMode):
    """Within it every ``sign`` of torch has a derivative, whoever calls it; what it returns stays as it is."""

    def __init__(self, derivative: Function) -> None:
        super().__init__()
        self.derivative = derivative

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:  # noqa: ANN401
        """Called by torch with each of its functions."""
        if func in {torch.sign, torch.Tensor.sign}:
            return _Sign.apply(args[0], self.derivative)
        return func(*args, **(kwargs or {}))


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: torch.Tensor, derivative: Function) -> torch.Tensor:  # noqa: ANN401
        context.save_for_backward(values)
        context.derivative = derivative
        return torch.sgn(values)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # noqa: ANN401
        (values,) = context.saved_tensors
        return gradient * context.derivative(values), None


def mean_gradient(logits: Function, pixels: torch.Tensor, classes: torch.Tensor, samples: int = 1) -> torch.Tensor:
    """Return the gradient of the cross-entropy, averaged over ``samples`` calls (EOT; arXiv 1707.07397)."""
    total = torch.zeros_like(pixels)
    for _ in range(samples):
        leaf = pixels.detach().requires_grad_()
        total += torch.autograd.grad(functional.cross_entropy(logits(leaf), classes, reduction="sum"), leaf)[0]
    return total / samples


def pgd(images: np.ndarray, bound: int, target: Any, logits: Function, *, samples: int = 1) -> np.ndarray:  # noqa: ANN401
    """Climb away from what the target answers for the clean images (arXiv 1706.06083), along gradients of ``logits``.

    Args:
        images: Clean, uint8 [n, h, w, 3].
        bound: L-infinity bound in 0..255.
        target: The defense.
        logits: How pixels are led to logits, and gradients back.
        samples: Calls of ``logits`` that one gradient is the mean of.
    """
    clean = to_tensor(images)
    classes = classes_of(target, clean)
    radius = bound / 255
    low, high = (clean - radius).clamp(min=0), (clean + radius).clamp(max=1)
    # One start for all images, from a fixed seed: what an image gets does not depend on its batch.
    start = torch.rand(clean.shape[1:], generator=torch.Generator().manual_seed(0)).to(DEVICE)
    moved = clean + radius * (2 * start - 1)
    for _ in range(STEPS):
        moved = moved.clamp(low, high)
        moved = moved + STEP * radius * mean_gradient(logits, moved, classes, samples).sign()
    return within(images, to_pixels(moved.clamp(low, high)), bound)
