"""An adversarial transformation network: a small FCN, trained offline, makes the perturbation in one pass.

Idea of the fourth place of 2017 (arXiv 1804.00097, section 5.4); arXiv 1703.09387. Trained by
submissions/training/train_fully_convolutional.py against the three surrogates.
"""

from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from field_kit.model import DEVICE, to_tensor
from field_kit.nets import Perturbation
from harness.sdk import run_attack, within

NET = Perturbation()
NET.load_state_dict(load_file(Path(__file__).parent / "network.safetensors"))
NET.eval().requires_grad_(requires_grad=False).to(DEVICE)


def attack(images: np.ndarray, epsilon: int) -> np.ndarray:
    """Return uint8 [n, h, w, 3]."""
    direction = NET(to_tensor(images), epsilon / 255).permute(0, 2, 3, 1).cpu().numpy()
    return within(images, images + epsilon * direction, epsilon)


if __name__ == "__main__":
    run_attack(attack)
