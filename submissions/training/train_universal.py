"""Make a universal perturbation: ``train.py --only universal`` or ``shapes-universal`` (minutes on one core).

Stochastic gradient ascent on one direction in [-1, 1] for all images and all epsilons (arXiv 1811.11304), instead of
DeepFool for each image in turn (arXiv 1610.08401): the same result, some hundred times faster.
"""

from pathlib import Path

import numpy as np
import torch
from offline import batches, fooling_loss, surrogates
from recipes import SHAPES, TRAINING

from field_kit.model import load

RATE = 0.03


def main() -> None:
    """Train and write the one for digits."""
    make(TRAINING.parent / "attacks" / "universal_perturbation", surrogates(), "digits", epochs=12, seed=11)


def main_shapes() -> None:
    """Train and write the one for the rendered shapes."""
    nets = [load(SHAPES / "defenses" / f"undefended_{name}" / "model.json") for name in "ab"]
    make(SHAPES / "attacks" / "universal_perturbation", nets, "shapes", epochs=2, seed=45)


def make(entry: Path, nets: list[torch.nn.Module], data: str, *, epochs: int, seed: int) -> None:
    """Train and write ``universal.npy``."""
    direction = torch.zeros(1, 3, *nets[0].size, device=next(nets[0].parameters()).device, requires_grad=True)
    optimiser = torch.optim.Adam([direction], RATE)
    for clean, radius in batches(epochs, seed, data):
        optimiser.zero_grad()
        fooling_loss(nets, clean, (clean + radius * direction).clamp(0, 1)).backward()
        optimiser.step()
        with torch.no_grad():
            direction.clamp_(-1, 1)
    np.save(entry / "universal.npy", direction.detach()[0].permute(1, 2, 0).cpu().numpy().astype(np.float16))


if __name__ == "__main__":
    main()
