"""Make the universal perturbation: ``python submissions/training/train_universal.py`` (a minute on one core).

Stochastic gradient ascent on one direction in [-1, 1] for all images and all epsilons (arXiv 1811.11304), instead of
DeepFool for each image in turn (arXiv 1610.08401): the same result, some hundred times faster.
"""

import numpy as np
import torch
from offline import batches, fooling_loss, surrogates
from recipes import TRAINING

ENTRY = TRAINING.parent / "attacks" / "universal_perturbation"
EPOCHS, RATE, SEED = 12, 0.03, 11


def main() -> None:
    """Train and write ``universal.npy``."""
    nets = surrogates()
    direction = torch.zeros(1, 3, 32, 32, device=next(nets[0].parameters()).device, requires_grad=True)
    optimiser = torch.optim.Adam([direction], RATE)
    for clean, radius in batches(EPOCHS, SEED):
        optimiser.zero_grad()
        fooling_loss(nets, clean, (clean + radius * direction).clamp(0, 1)).backward()
        optimiser.step()
        with torch.no_grad():
            direction.clamp_(-1, 1)
    np.save(ENTRY / "universal.npy", direction.detach()[0].permute(1, 2, 0).cpu().numpy().astype(np.float16))


if __name__ == "__main__":
    main()
