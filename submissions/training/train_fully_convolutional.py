"""Train the perturbation network: ``python submissions/training/train_fully_convolutional.py`` (some minutes on one core)."""

import torch
from offline import batches, fooling_loss, surrogates
from recipes import TRAINING
from safetensors.torch import save_file

from field_kit.nets import Perturbation

ENTRY = TRAINING.parent / "attacks" / "fully_convolutional"
EPOCHS, RATE, SEED = 20, 2e-3, 12


def main() -> None:
    """Train and write ``network.safetensors``, in half precision."""
    nets = surrogates()
    torch.manual_seed(SEED)
    network = Perturbation().to(next(nets[0].parameters()).device)
    optimiser = torch.optim.Adam(network.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for _ in range(EPOCHS):
        for clean, radius in batches(1, int(torch.randint(1 << 30, ()))):
            optimiser.zero_grad()
            fooling_loss(nets, clean, (clean + radius * network(clean, radius)).clamp(0, 1)).backward()
            optimiser.step()
        schedule.step()
    state = network.state_dict().items()
    half = {name: value.half() if value.is_floating_point() else value for name, value in state}
    save_file({name: value.contiguous().cpu() for name, value in half.items()}, ENTRY / "network.safetensors")


if __name__ == "__main__":
    main()
