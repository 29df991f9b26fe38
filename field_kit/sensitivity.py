"""Input sensitivity, and the detector that it guides: GRED.

Source: "Detecting and Recovering Adversarial Examples: An Input Sensitivity Guided Method". Here because detectors, defenses and
their white-box targets must compute the very same. All of it keeps the graph where the pixels ask for gradients, so that an
attack in the white box can go through the sensitivity itself.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.functional import cross_entropy

#: Below this a sensitivity is none: its logarithm is the least that a detector sees.
FLOOR = 1e-12


def input_sensitivity(net: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Return |d CE(f(x), argmax f(x)) / dx| (section 2, equation 1), the shape of ``pixels`` [n, 3, h, w]."""
    return _gradient(net, pixels, lambda logits: cross_entropy(logits, logits.argmax(1), reduction="sum")).abs()


def log_sensitivity(net: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Return the logarithm to base 10 of the input sensitivity: it spans ten decades, and a net sees none of that otherwise."""
    return (input_sensitivity(net, pixels) + FLOOR).log10()


def _gradient(net: nn.Module, pixels: torch.Tensor, value: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    kept = pixels.requires_grad
    with torch.enable_grad():
        leaf = pixels if kept else pixels.detach().requires_grad_()
        return torch.autograd.grad(value(net(leaf)), leaf, create_graph=kept)[0]


def more_certain(image: torch.Tensor, sensitivity: torch.Tensor) -> torch.Tensor:
    """Return of two log-odds [n] the one of the lower binary entropy, ties to the sensitivity's (section 3.1, equation 12).

    The entropy of a probability falls with the distance of its log-odds from zero, which is compared instead: it still tells
    apart two answers that as probabilities are both 1.
    """
    return torch.where(image.abs() > sensitivity.abs(), image, sensitivity)


class Detector(nn.Module):
    """GRED's detector: one net on the image, one on its input sensitivity, and the more certain of the two decides."""

    def __init__(self, classifier: nn.Module, image: nn.Module, sensitivity: nn.Module) -> None:
        super().__init__()
        self.classifier, self.image, self.sensitivity = classifier, image, sensitivity

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return log-odds [n]: above zero means adversarial."""
        of_image = log_odds(self.image(pixels))
        return more_certain(of_image, log_odds(self.sensitivity(log_sensitivity(self.classifier, pixels))))


def log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Turn a detector's logits (benign, adversarial) [n, 2] into the log-odds of adversarial."""
    return logits[:, 1] - logits[:, 0]


def middle_saliency(model: nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    """Return the logarithm to base 10 of the saliency of a net's middle layer, [n, 1, h', w'].

    The saliency is the gradient of the predicted class's logit with respect to what the middle layer gives out, the largest of
    all channels at each place. ``model`` is a ``field_kit.model.Model`` around a sequence of layers.
    """
    middle = len(model.net) // 2
    with torch.no_grad():
        maps = model.net[:middle]((pixels - model.mean) / model.std)
    saliency = _gradient(model.net[middle:], maps, lambda logits: logits.amax(1).sum())
    return (saliency.abs().amax(1, keepdim=True) + FLOOR).log10()
