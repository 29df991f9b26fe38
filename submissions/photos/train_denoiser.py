"""Train the guided denoiser: ``python submissions/photos/train_denoiser.py`` (some five minutes on one core).

On the candidates of a seed of its own, which no tournament has; it needs no labels. The cut-outs themselves are the same ones, as a
class's objects would be. The weights, in half precision, go into ``defenses/guided_denoiser`` after every epoch.
"""

from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from safetensors.torch import save_file
from torch.nn import functional as F

from field_kit.model import DEVICE, to_tensor
from field_kit.nets import denoiser
from harness.dataset.photos import unlabelled
from lite_nets import SIZES, load

ENTRY = Path(__file__).parent / "defenses" / "guided_denoiser"
#: Training sees crops of this size from images of the guarded net's size: the noise looks the same, at half the cost.
CROP, BATCH, EPOCHS, RATE, SEED = 112, 8, 8, 3e-3, 24
IMAGES, IMAGES_SEED = 160, 1
EPSILONS = 2, 16
GUARDED = "lite1"


def attacked(clean: torch.Tensor, nets: list[torch.nn.Module]) -> torch.Tensor:
    """Take one to four steps of one epsilon per image on one of the nets or on both; one time in five the images stay clean."""
    steps = int(torch.randint(5, ()))
    chosen = (nets, nets[:1], nets[1:])[int(torch.randint(3, ()))]
    low, high = EPSILONS
    radius = (low + (high - low) * torch.rand(len(clean), 1, 1, 1, device=clean.device)) / 255
    labels = sum(net(clean) for net in chosen).argmax(1)
    moved = clean
    for _ in range(steps):
        moved = moved.detach().requires_grad_()
        loss = F.cross_entropy(sum(net(moved) for net in chosen), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, moved)
        moved = (moved + radius / steps * gradient.sign()).clamp(0, 1)
    return (moved.detach() * 255).round() / 255


def main(cache: Path) -> None:
    """Train from the seed, with the loss on the guarded net's logits (arXiv 1712.02976, section 3.3)."""
    torch.manual_seed(SEED)
    side = SIZES[GUARDED]
    whole = to_tensor(np.stack(list(islice(unlabelled(cache, IMAGES_SEED), IMAGES))))
    pixels = F.interpolate(whole, (side, side), mode="bilinear", antialias=True)
    nets = [load("lite0", CROP), load(GUARDED, CROP)]
    model = denoiser().to(DEVICE)
    # From "no noise" on: fresh weights would first have to unlearn what they draw into the image.
    torch.nn.init.zeros_(model.noise.weight)
    torch.nn.init.zeros_(model.noise.bias)
    optimiser = torch.optim.AdamW(model.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * (len(pixels) // BATCH))
    for epoch in range(EPOCHS):
        total = 0.0
        for part in track(torch.randperm(len(pixels)).split(BATCH)[: len(pixels) // BATCH], f"epoch {epoch + 1} of {EPOCHS}"):
            left, top = (int(torch.randint(side - CROP + 1, ())) for _ in range(2))
            clean = pixels[part.to(DEVICE), :, top : top + CROP, left : left + CROP]
            images = attacked(clean, nets)
            denoised = (images - model((images - 0.5) / 0.5)).clamp(0, 1)
            loss = F.l1_loss(nets[1](denoised), nets[1](clean))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"loss {total / (len(pixels) // BATCH):.3f}", flush=True)
        state = model.state_dict().items()
        half = {name: (value.half() if value.is_floating_point() else value).contiguous().cpu() for name, value in state}
        save_file(half, ENTRY / "denoiser.safetensors")


if __name__ == "__main__":
    main(Path(".cache/photos"))
