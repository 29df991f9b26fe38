"""The training loop: augment, make the batch harder where the recipe says so, step. Seeds fix everything but the device."""

from collections.abc import Callable

import torch
from adversary import fgsm, pgd, random_epsilon
from recipes import Recipe
from sets import SETS
from torch.nn import functional as F

from field_kit.model import Model
from field_kit.transformation import Transformation

#: Adversarial training covers the whole range of the default tournament's epsilons (16, 32, 48, 64).
HIGHEST_EPSILON = 64
BATCH = 64
AUTOENCODER_NOISE = 0.03
#: Transformed copies of each image, where a classifier is trained on such.
COPIES = 5

Harden = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def train(
    model: Model,
    recipe: Recipe,
    data: tuple[torch.Tensor, torch.Tensor],
    others: list[Model],
    tick: Callable[[], None],
) -> None:
    """Train in place.

    Args:
        model: The fresh net, its weights drawn after ``torch.manual_seed(recipe.seed)``.
        recipe: What to do.
        data: Training pixels and labels.
        others: Fixed nets that make examples (ensemble adversarial training, arXiv 1705.07204; the denoiser).
        tick: Called after each epoch.
    """
    if recipe.method == "none":
        model.eval()
        return
    augment = SETS[recipe.data].augment
    pixels, labels = data
    if recipe.method == "transformed":
        pixels, labels = _transformed(Transformation(others[0]), augment, *data)
        augment = _as_it_is
    loss = _loss(recipe, others)
    steps = recipe.epochs * (len(pixels) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps)
    harden = _hardening(model, recipe, others)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(pixels))
        for start in range(0, len(pixels) - BATCH + 1, BATCH):
            part = order[start : start + BATCH].to(pixels.device)
            clean, answers = augment(pixels[part]), labels[part]
            # Attacked in evaluation mode: batch statistics of half-made examples would leak into the running averages.
            model.eval()
            images = harden(clean, answers)
            model.train()
            optimiser.zero_grad()
            loss(model, images, clean, answers).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        tick()
    model.eval()


def _loss(recipe: Recipe, others: list[Model]) -> Callable[..., torch.Tensor]:
    if recipe.method == "denoiser":
        return _guided(others[0])
    return _reconstructed if recipe.method == "autoencoder" else _classified


def _as_it_is(pixels: torch.Tensor) -> torch.Tensor:
    return pixels


def _transformed(
    transformation: Transformation, augment: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Augment and transform all images several times, once and for all: anew in each epoch would take most of an hour."""
    copies = [transformation(augment(part)) for _ in range(COPIES) for part in pixels.split(BATCH)]
    return torch.cat(copies), labels.repeat(COPIES)


def _classified(model: Model, images: torch.Tensor, _: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(model(images), answers, label_smoothing=0.05)


def _reconstructed(model: Model, images: torch.Tensor, clean: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(model(images), clean)


def _guided(guarded: Model) -> Callable[..., torch.Tensor]:
    """Compare what the guarded net says of the denoised image and of the clean one (arXiv 1712.02976, section 3.3).

    With a loss on pixels instead, the little noise that is left grows from layer to layer and wins.
    """

    def loss(model: Model, images: torch.Tensor, clean: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return F.l1_loss(guarded(images - model(images)), guarded(clean))

    return loss


def _hardening(model: Model, recipe: Recipe, others: list[Model]) -> Harden:
    sources = {"fgsm": [model], "pgd": [model], "ensemble": [model, *others], "denoiser": others}

    def harden(images: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        if recipe.method in {"plain", "transformed"}:
            return images
        if recipe.method == "autoencoder":  # as MagNet's (arXiv 1705.09064, section 4.3): noise in, the clean image out
            return (images + AUTOENCODER_NOISE * torch.randn_like(images)).clamp(0, 1)
        nets = sources[recipe.method]
        source = nets[int(torch.randint(len(nets), ()))]
        epsilon = random_epsilon(len(images), HIGHEST_EPSILON, images.device)
        if recipe.method == "pgd":
            return pgd(source, images, answers, epsilon, steps=4)
        if recipe.method == "denoiser":
            steps = int(torch.randint(1, 4, ()))
            return pgd(source, images, answers, epsilon, steps=steps)
        hardened = fgsm(source, images, answers, epsilon)
        if recipe.method == "ensemble":  # as in the paper, half of each batch stays clean
            hardened = torch.cat([hardened[: len(images) // 2], images[len(images) // 2 :]])
        return hardened

    return harden
