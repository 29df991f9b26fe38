"""Train the defense by adversarial training: ``python submissions/photos/train_adversarial.py`` (some ten minutes on one core).

Ensemble adversarial training (Tramer et al., arXiv 1705.07204) of what is small in EfficientNet-Lite 1: the scales and shifts
of its batch normalisation and its first convolution. So 55,000 numbers are committed and the pretrained net stays in its package.
On the candidates of a seed of its own, which no tournament has; their labels are what the three nets say together.
"""

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import save_file
from torch.nn import functional as F

from field_kit.model import DEVICE, to_tensor
from harness.dataset.photos import unlabelled
from lite_nets import SIZES, load

ENTRY = Path(__file__).parent / "defenses" / "adversarial_training"
TRAINED = "lite1"
#: Images are seen at the size of the trained net; the nets that only give attacks shrink them, which costs half.
ATTACK_SIZE = 160
BATCH, EPOCHS, RATE, SEED = 8, 8, 3e-4, 17
IMAGES, IMAGES_SEED = 320, 3
EPSILONS = 2, 12


def is_small(name: str) -> bool:
    """Whether a parameter of the net is trained: those of batch normalisation, and the first convolution."""
    return ".bn" in name or name.startswith("bn") or name == "conv_stem.weight"


def attacked(clean: torch.Tensor, labels: torch.Tensor, net: torch.nn.Module) -> torch.Tensor:
    """Take one or two steps from a random start, of one epsilon for each image."""
    low, high = EPSILONS
    radius = (low + (high - low) * torch.rand(len(clean), 1, 1, 1, device=clean.device)) / 255
    moved = (clean + radius * (2 * torch.rand_like(clean) - 1)).clamp(0, 1)
    for _ in range(int(torch.randint(1, 3, ()))):
        moved = moved.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(net(moved), labels, reduction="sum"), moved)
        moved = torch.minimum(torch.maximum(moved + radius * gradient.sign(), clean - radius), clean + radius).clamp(0, 1)
    return (moved.detach() * 255).round() / 255


def main(cache: Path) -> None:
    """Train from the seed."""
    torch.manual_seed(SEED)
    side = SIZES[TRAINED]
    whole = to_tensor(np.stack(list(islice(unlabelled(cache, IMAGES_SEED), IMAGES))))
    pixels = F.interpolate(whole, (side, side), mode="bilinear", antialias=True)
    teachers = [load(name) for name in SIZES]
    with torch.inference_mode():
        wanted = torch.cat([sum(net(part).softmax(1) for net in teachers) / len(teachers) for part in pixels.split(16)]).clone()
    model = load(TRAINED)
    trained = {name: parameter.requires_grad_() for name, parameter in model.net.named_parameters() if is_small(name)}
    # The net itself is one of those that attack it; its batch normalisation keeps the statistics of clean photographs.
    attackers = [load("lite0", ATTACK_SIZE), load(TRAINED, ATTACK_SIZE), model]
    optimiser = torch.optim.Adam(trained.values(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * (len(pixels) // BATCH))
    for epoch in range(EPOCHS):
        total = np.zeros(2)
        for part in track(torch.randperm(len(pixels)).split(BATCH)[: len(pixels) // BATCH], f"epoch {epoch + 1} of {EPOCHS}"):
            clean, target = pixels[part.to(DEVICE)], wanted[part.to(DEVICE)]
            net = attackers[int(torch.randint(len(attackers), ()))]
            images = torch.cat([attacked(clean, target.argmax(1), net), clean[: BATCH // 2]])
            losses = F.cross_entropy(model(images), torch.cat([target, target[: BATCH // 2]]), reduction="none")
            loss = losses.mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
            optimiser.step()
            schedule.step()
            total += np.array([losses[:BATCH].mean().item(), losses[BATCH:].mean().item()])
        print("loss attacked {:.3f}, clean {:.3f}".format(*total / (len(pixels) // BATCH)), flush=True)
        half = {name: value.detach().half().contiguous().cpu() for name, value in trained.items()}
        save_file(half, ENTRY / "trained.safetensors")


if __name__ == "__main__":
    main(Path(".cache/photos"))
