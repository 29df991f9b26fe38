"""Train GRED's nets: ``python submissions/training/train_gred.py`` (some ten minutes on one core).

The two detector nets of GRED, the one on saliency that it is compared with, and the rectifier, a copy of f tuned further. They
learn from what the entries named ``_on_f`` make of training images, as stored in 8 bits. Weights are written in half precision.
"""

import copy
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from recipes import TRAINING
from rich.progress import track
from safetensors.torch import save as to_bytes
from torch.nn import functional as F

from field_kit.model import DEVICE, Model, build, load, to_tensor
from field_kit.sensitivity import input_sensitivity, log_sensitivity, middle_saliency
from harness.dataset.shapes import shapes

SHAPES = TRAINING.parent / "shapes"
CLASSIFIER = SHAPES / "defenses" / "undefended_a" / "model.json"
#: Attack -> bounds of which each image gets one. Targeted examples lie where untargeted ones do, and are left for the tournament.
FAMILIES = {"fgsm_on_f": (4, 8), "pgd_on_f": (4, 8), "deepfool_on_f": (512,), "carlini_wagner_on_f": (512,), "ddn_on_f": (512,)}
IMAGES, PART = 300, "gred"
SEED, BATCH = 51, 50
DETECTOR_EPOCHS, DETECTOR_RATE = 30, 4e-3
RECTIFIER_EPOCHS, RECTIFIER_RATE = 8, 1e-3
#: Share of the range of sensitivities above which a pixel is a suspect (section 3.2, equation 13; figure 5: .3 to .6 are good).
ALPHA = 0.4

#: File -> what its net looks at, the mean and the standard deviation of that, and how many maps it is.
DETECTORS: dict[str, tuple[Callable[[Model, torch.Tensor], torch.Tensor], float, float, int]] = {
    "image": (lambda _, pixels: pixels, 0.5, 0.5, 3),
    "sensitivity": (log_sensitivity, -5.0, 2.0, 3),
    "saliency": (middle_saliency, -2.0, 1.0, 1),
}
ENTRIES = {
    "image": ("detectors/image_cnn", "detectors/gred", "defenses/gred", "defenses/gred_reject"),
    "sensitivity": ("detectors/input_sensitivity", "detectors/gred", "defenses/gred", "defenses/gred_reject"),
    "saliency": ("detectors/saliency",),
    "rectifier": ("defenses/gred",),
}


def main() -> None:
    """Make the examples, train the four nets, and write them."""
    torch.manual_seed(SEED)
    classifier = load(CLASSIFIER)
    clean, labels, adversarial = examples(IMAGES)
    for name, (view, mean, std, maps) in DETECTORS.items():
        spec = {
            "library": "nets", "net": "detector", "options": {"inputs": maps}, "weights": f"{name}.safetensors",
            "classes": 2, "label_offset": 0, "size": [64, 64], "mean": [mean] * maps, "std": [std] * maps,
        }  # fmt: skip
        attacked = views(classifier, view, adversarial.flatten(0, 1)).unflatten(0, adversarial.shape[:2])
        save(train_detector(spec, views(classifier, view, clean), attacked), spec, name)
    save(train_rectifier(classifier, adversarial, labels), json.loads(CLASSIFIER.read_text()), "rectifier")


def examples(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return clean pixels [n, 3, h, w], their labels [n], and what each family made of them [families, n, 3, h, w]."""
    images, labels = shapes(PART, count)
    made = []
    for name, bounds in FAMILIES.items():
        attack = entry(SHAPES / "attacks" / name)
        parts = range(0, count, BATCH)
        made.append(np.concatenate([
            attack(images[start : start + BATCH].copy(), bounds[number % len(bounds)])
            for number, start in enumerate(track(parts, name))
        ]))  # fmt: skip
    return to_tensor(images), torch.from_numpy(labels).to(DEVICE), torch.stack([to_tensor(each) for each in made])


def entry(folder: Path) -> Callable[[np.ndarray, int], np.ndarray]:
    """Return an attack's function."""
    spec = importlib.util.spec_from_file_location(folder.name, folder / "attack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.attack


def views(classifier: Model, view: Callable[[Model, torch.Tensor], torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """Return what a detector looks at, a part at a time."""
    return torch.cat([view(classifier, part).detach() for part in pixels.split(BATCH)])


def train_detector(spec: dict, clean: torch.Tensor, adversarial: torch.Tensor) -> Model:
    """Train on halves: each image once clean and once as one family, drawn anew, left it."""
    torch.manual_seed(SEED)
    model = build(spec).to(DEVICE)
    steps = DETECTOR_EPOCHS * (len(clean) // BATCH)
    optimiser = torch.optim.AdamW(model.parameters(), lr=DETECTOR_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, DETECTOR_RATE, total_steps=steps)
    answers = torch.cat([torch.zeros(BATCH), torch.ones(BATCH)]).long().to(DEVICE)
    for _ in track(range(DETECTOR_EPOCHS), spec["weights"]):
        for part in torch.randperm(len(clean)).split(BATCH):
            family = torch.randint(len(adversarial), (BATCH,))
            halves = turned(torch.cat([clean[part], adversarial[family, part]]))
            optimiser.zero_grad()
            F.cross_entropy(model(halves), answers).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def turned(maps: torch.Tensor) -> torch.Tensor:
    """Mirror and turn a whole batch at random: it costs neither grain nor the traces of an attack."""
    maps = maps.rot90(int(torch.randint(4, ())), (2, 3))
    return maps.flip(3) if torch.rand(()) < 0.5 else maps


def train_rectifier(classifier: Model, adversarial: torch.Tensor, labels: torch.Tensor) -> Model:
    """Tune a copy of f on adversarial images whose suspect pixels were swapped for noise, drawn anew each time."""
    torch.manual_seed(SEED)
    model = copy.deepcopy(classifier).requires_grad_().train()
    examples, answers = adversarial.flatten(0, 1), labels.repeat(len(adversarial))
    sensitivities = views(classifier, input_sensitivity, examples)
    steps = RECTIFIER_EPOCHS * -(-len(examples) // (2 * BATCH))
    optimiser = torch.optim.AdamW(model.parameters(), lr=RECTIFIER_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RECTIFIER_RATE, total_steps=steps)
    for _ in track(range(RECTIFIER_EPOCHS), "rectifier.safetensors"):
        for part in torch.randperm(len(examples)).split(2 * BATCH):
            optimiser.zero_grad()
            images = turned(swap_suspects(examples[part], sensitivities[part]))
            F.cross_entropy(model(images), answers[part], label_smoothing=0.05).backward()
            optimiser.step()
            schedule.step()
    return model.eval()


def swap_suspects(pixels: torch.Tensor, sensitivity: torch.Tensor) -> torch.Tensor:
    """Swap each suspect with probability 1/2 for a draw from the image's own normal distribution (equations 13 and 14)."""
    low, high = sensitivity.amin((1, 2, 3), keepdim=True), sensitivity.amax((1, 2, 3), keepdim=True)
    suspect = sensitivity > ALPHA * (high - low) + low
    mean, std = pixels.mean((1, 2, 3), keepdim=True), pixels.std((1, 2, 3), keepdim=True)
    drawn = (torch.randn_like(pixels) * std + mean).clamp(0, 1).mul(255).round().div(255)
    return torch.where(suspect & (torch.rand_like(pixels) < 0.5), drawn, pixels)


def save(model: Model, spec: dict, name: str) -> None:
    """Write a net into the entries that use it."""
    state = model.net.state_dict().items()
    weights = to_bytes({
        key: (value.half() if value.is_floating_point() else value).contiguous().cpu() for key, value in state
    })
    spec = {key: value for key, value in spec.items() if key != "recipe"} | {"weights": f"{name}.safetensors"}
    for folder in (SHAPES / path for path in ENTRIES[name]):
        (folder / f"{name}.json").write_text(json.dumps(spec) + "\n")
        (folder / f"{name}.safetensors").write_bytes(weights)


if __name__ == "__main__":
    main()
