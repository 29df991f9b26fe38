"""What is trained: one row per net, in the order of training (later rows may use earlier ones)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TRAINING = Path(__file__).parent
DEFENSES = TRAINING.parent / "defenses"
SHAPES = TRAINING.parent / "shapes"
TRANSFORMATION = TRAINING.parent / "transformation" / "defenses"
SURROGATES = TRAINING / "surrogates"

_IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
_SIDES = {"digits": 32, "shapes": 64}
_HALF = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])


@dataclass(frozen=True)
class Recipe:
    """How one net is made.

    Attributes:
        name: What ``--only`` takes.
        folders: Directories that get the spec and the weights. Any other spec below
            ``submissions/`` whose ``recipe`` is this one gets its weights renewed too.
        net: Name in ``field_kit.nets``, or timm's name after ``timm/``.
        seed: For the first weights, the order and every random draw of its training.
        method: Training of a classifier (``plain``, ``fgsm``, ``pgd``, ``ensemble``, ``transformed``; ``none`` leaves the net
            as it is drawn), of a ``denoiser`` or of an ``autoencoder``.
        options: Arguments of the net.
        file: Stem of the files in ``folders``.
        epochs: Passes over the training images; of ``transformed``, over five copies of them.
        rate: Highest learning rate of the one cycle.
        others: Recipes whose nets are borrowed: by ensemble adversarial training as sources of examples, by the
            denoiser likewise, the first of them being the net that it guards; by ``transformed`` as the external net.
        data: The data set, of ``sets.SETS``.
        side: Width and height at which the net works, where they are not the images' own: a large shape is more than a small net
            of 64x64 can see at once.
    """

    name: str
    folders: tuple[Path, ...]
    net: str
    seed: int
    method: str = "plain"
    options: dict[str, Any] = field(default_factory=dict)
    file: str = "model"
    epochs: int = 40
    rate: float = 4e-3
    others: tuple[str, ...] = ()
    data: str = "digits"
    side: int | None = None

    def spec(self) -> dict[str, Any]:
        """Return what ``model.json`` says."""
        library, _, net = self.net.rpartition("/")
        mean, std = _IMAGENET if net in {"test_efficientnet", "test_byobnet"} else _HALF
        return {
            "recipe": self.name,
            "library": library or "nets",
            "net": net,
            "options": self.options,
            "weights": f"{self.file}.safetensors",
            "classes": 10,
            "label_offset": 0,
            "size": [self.side or _SIDES[self.data]] * 2,
            "mean": mean,
            "std": std,
        }


_SQUEEZERS = ("bit_depth", "median_filter", "jpeg", "feature_squeezing", "guided_denoiser")


_AUTOENCODERS = ("detectors/patch", "detectors/contest2022", "detectors/magnet", "defenses/magnet_reformer")


def _entries(*names: str) -> tuple[Path, ...]:
    return tuple(DEFENSES / name for name in names)


def _transformation(name: str, folder: Path, method: str, seed: int) -> tuple[Recipe, Recipe]:
    """Return the external net, and the classifier of what is transformed on it."""
    external = f"external-{name}"
    return (
        Recipe(external, (folder,), "compact", seed, method, file="external", epochs=20),
        Recipe(
            f"transformed-{name}", (folder / "base",), "residual", seed + 1, "transformed", {"width": 28}, epochs=6,
            others=(external,),
        ),
    )


RECIPES = (
    Recipe("surrogate-a", (SURROGATES / "a", *_entries("undefended_surrogate")), "residual", 1),
    Recipe("surrogate-b", (SURROGATES / "b",), "plain", 2),
    Recipe("surrogate-c", (SURROGATES / "c",), "separable", 3),
    # One private net stands behind every filter, and undefended beside them: the difference is what the filter adds.
    Recipe("plain", _entries("undefended_plain", *_SQUEEZERS), "plain", 11, options={"width": 20}),
    Recipe("transformer", _entries("undefended_transformer"), "transformer", 12, rate=2e-3),
    Recipe("mixer", _entries("undefended_mixer"), "mixer", 13, rate=2e-3),
    Recipe("efficientnet", _entries("undefended_efficientnet"), "timm/test_efficientnet", 14),
    Recipe("byobnet", _entries("undefended_byobnet"), "timm/test_byobnet", 15),
    Recipe("fgsm-trained", _entries("adversarial_training_fgsm"), "residual", 21, "fgsm", {"width": 28}),
    Recipe("pgd-trained", _entries("adversarial_training_pgd", "resize_pad"), "residual", 22, "pgd", {"width": 28}),
    Recipe(
        "ensemble-trained", _entries("ensemble_adversarial_training"), "residual", 23, "ensemble", {"width": 28},
        others=("plain", "transformer"),
    ),
    Recipe(
        "denoiser", _entries("guided_denoiser"), "denoiser", 24, "denoiser", file="denoiser", rate=5e-3,
        others=("plain", "transformer", "mixer"),
    ),
    # Rendered shapes, 64x64: three families, the first two of which attacks are made on.
    Recipe("shapes-a", (SHAPES / "defenses" / "undefended_a",), "residual", 41, epochs=15, data="shapes"),
    Recipe("shapes-b", (SHAPES / "defenses" / "undefended_b",), "plain", 42, epochs=20, data="shapes", side=32),
    Recipe("shapes-c", (SHAPES / "defenses" / "undefended_c",), "separable", 43, epochs=20, data="shapes", side=32),
    Recipe(
        "shapes-autoencoder", tuple(SHAPES / entry for entry in _AUTOENCODERS), "autoencoder", 44, "autoencoder",
        file="autoencoder", epochs=8, data="shapes",
    ),
    *(
        recipe for seed, (name, folder, method) in enumerate((
            ("untrained", "adversarial_transformation_untrained", "none"),
            ("trained", "adversarial_transformation_trained", "plain"),
            ("adversarial", "adversarial_transformation", "pgd"),
        ))
        for recipe in _transformation(name, TRANSFORMATION / folder, method, 31 + 2 * seed)
    ),
)  # fmt: skip
