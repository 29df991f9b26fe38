"""Your white-box attack: one function from clean images, and the very defense that it is up against, to adversarial images."""

import numpy as np
import torch

from harness.sdk import Target, run_white_box_attack, within

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
#: One step of twice the bound is FGSM.
STEPS = 10


def attack(images: np.ndarray, bound: int, target: Target) -> np.ndarray:
    """Return uint8 [n, h, w, 3], no pixel farther than the bound from the clean one."""
    clean = torch.from_numpy(images).to(DEVICE).permute(0, 3, 1, 2).float() / 255
    epsilon = bound / 255
    with torch.no_grad():
        classes = target.logits(target.transform(clean)).argmax(1)  # what it says now, since true labels are not given
    pixels = clean
    for _ in range(STEPS):  # your idea goes here
        # Forwards through all of the defense; backwards past what gradients do not pass, as if it were not there (BPDA).
        seen = target.transform(pixels).detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(target.logits(seen), classes, reduction="sum")
        gradient = torch.autograd.grad(loss, seen)[0].nan_to_num()
        pixels = (pixels + 2 * epsilon / STEPS * gradient.sign()).clamp(0, 1).clamp(clean - epsilon, clean + epsilon)
    return within(images, pixels.mul(255).permute(0, 2, 3, 1).cpu().numpy(), bound)


if __name__ == "__main__":
    run_white_box_attack(attack)
