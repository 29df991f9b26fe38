"""DeepFool, L2: step to the nearest linearised decision boundary (arXiv 1511.04599, algorithm 2); foolbox has the maths."""

from pathlib import Path

import foolbox
import numpy as np
import torch
from model import load, to_pixels, to_tensor

from harness.sdk import run_attack, within

NET = load(Path(__file__).parent / "model.json")
METHOD = foolbox.attacks.L2DeepFoolAttack(steps=10, candidates=4, overshoot=0.02)


class Stored(torch.nn.Module):
    """The surrogate behind what will happen to an image: cut to epsilon, rounded to 8 bits.

    Gradients pass the rounding unchanged, so an attack of least norm optimises through it, and what it counts as a
    success still is one as a file (unrounded, up to nine in ten are lost).
    """

    def __init__(self, clean: torch.Tensor, epsilon: int) -> None:
        super().__init__()
        self.low, self.high = (clean - epsilon / 255).clamp(min=0), (clean + epsilon / 255).clamp(max=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        cut = pixels.clamp(self.low, self.high)
        return NET(cut + ((cut * 255).round() / 255 - cut).detach())


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]; the true labels are not given, the surrogate's own stand for them."""
    clean = to_tensor(images)
    net = foolbox.PyTorchModel(Stored(clean, epsilon).eval(), bounds=(0, 1), device=clean.device)
    found = METHOD.run(net, clean, foolbox.criteria.Misclassification(NET(clean).argmax(1)))
    return within(images, to_pixels(found), epsilon)


if __name__ == "__main__":
    run_attack(attack)
