"""The entries on photographs: contract, and mathematics on a stand-in net; with the pretrained nets (`make photos`) their effect.

The stand-in is small and certain of nothing, so what an attack makes of it shows the method and not the net.
"""

from __future__ import annotations

import functools
import glob
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from entry_loading import SUBMISSIONS, entry, one_shot, served
from safetensors.torch import load_file
from torch.nn.functional import interpolate, one_hot

import lite_nets
from field_kit import white_box
from field_kit.model import Model, to_pixels, to_tensor
from harness.config import load as load_config
from harness.sdk import Target, target, within

pytestmark = pytest.mark.field

HOME = SUBMISSIONS / "photos"
ENTRIES = sorted(path.parent for path in HOME.glob("*/*/metadata.json"))
KINDS = {"attacks": "attack", "targeted_attacks": "targeted_attack", "defenses": "defense", "detectors": "detector"}
BASELINES = {"fgsm", "undefended_lite0", "undefended_lite1", "undefended_lite2"}
EPSILON = 12


@functools.cache
def stand_in(name: str, size: int = 24) -> Model:
    torch.manual_seed(len(name) + ord(name[-1]))
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(),
                              torch.nn.Linear(32, 1000))
    model = Model(net, {"size": (size, size), "label_offset": 1, "mean": [0.5] * 3, "std": [0.5] * 3})
    return model.eval().requires_grad_(requires_grad=False)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """An entry whose nets are stand-ins."""
    monkeypatch.setattr(lite_nets, "load", lambda name, size=None: stand_in(name))

    def read(path: str) -> ModuleType:
        file = {"detectors": "detector.py", "defenses": "defense.py"}.get(path.split("/", maxsplit=1)[0], "attack.py")
        return entry.__wrapped__(f"photos/{path}", file)

    return read


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 24, 24, 3), dtype=np.uint8)


def mean_gradient(pixels: torch.Tensor, classes: torch.Tensor, *names: str) -> torch.Tensor:
    """Of the cross-entropy of the nets' mean logits, by another way: softmax less one, back through each net by itself."""
    leaf = pixels.detach().requires_grad_()
    logits = sum(stand_in(name)(leaf) for name in names) / len(names)
    outer = logits.detach().softmax(1) - one_hot(classes, 1000)
    return torch.autograd.grad(logits, leaf, outer)[0]


@pytest.mark.parametrize("directory", ENTRIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_entry_is_complete(directory: Path) -> None:
    said = json.loads((directory / "metadata.json").read_text())
    assert said == {"type": KINDS[directory.parent.name], "container": "localhost/harness-photos:1", "entry_point": "run.sh",
                    "protocol": "serve", **({"baseline": True} if directory.name in BASELINES else {})}
    assert os.access(directory / "run.sh", os.X_OK)
    readme = (directory / "README.md").read_text().splitlines()
    assert [line.split(":")[0] for line in readme] == [
        "- Method", "- Source", "- Parameters", "- What to expect", "- What it is not"]
    assert sum(path.stat().st_size for path in directory.glob("*.safetensors")) < 500_000


def test_the_tournament_has_every_entry_and_a_batch_for_each_epsilon() -> None:
    config = load_config(SUBMISSIONS.parent / "tournaments" / "photos.yaml")
    named = {Path(path).resolve() for pattern in config.submissions for path in glob.glob(pattern)}
    assert len({path.name for path in named}) == len(named)  # which is what an entry is called by
    assert named == {*ENTRIES, SUBMISSIONS / "attacks" / "no_op", SUBMISSIONS / "attacks" / "random_noise"}
    assert 200 // config.rules.batch_size == len(config.rules.max_epsilon)


@pytest.mark.parametrize(("name", "surrogate"), [
    ("fgsm", "NET"), ("i_fgsm", "NET"), ("mi_fgsm", "NET"), ("mi_fgsm_ensemble", "NETS"),
])  # fmt: skip
def test_the_attack_is_that_of_the_digits(own, monkeypatch, name, surrogate) -> None:
    """The same pixels from both programs, given the same nets."""
    photos, digits = own(f"attacks/{name}"), entry.__wrapped__(f"attacks/{name}")
    nets = [stand_in("lite0"), stand_in("lite1")]
    monkeypatch.setattr(digits, surrogate, nets if surrogate == "NETS" else nets[0])
    made = photos.attack(images(), EPSILON)
    assert np.array_equal(made, digits.attack(images(), EPSILON))
    assert 0 < np.abs(made.astype(int) - images()).max() <= EPSILON


def test_the_steps_of_the_targeted_winner_by_hand(own) -> None:
    """Of 100 values one is 5 and one -5, the others 0: their deviation is .71, so they are 7 of it apart and cut to 2."""
    momentum = torch.zeros(2, 1, 10, 10)
    momentum[0, 0, 0, 0], momentum[0, 0, 5, 5] = 5.0, -5.0
    steps = own("targeted_attacks/momentum_std").step(momentum)
    assert (steps[0, 0, 0, 0], steps[0, 0, 5, 5]) == (2, -2)
    assert steps.abs().sum() == 4  # an image without any gradient stays as it is
    ramp = torch.arange(-50, 50).float().view(1, 1, 10, 10)
    expected = np.clip(np.rint(ramp.numpy() / ramp.numpy().std(ddof=1)), -2, 2)
    assert np.array_equal(own("targeted_attacks/momentum_std").step(ramp).numpy(), expected)


def test_the_targeted_winner_is_its_formula(own) -> None:
    targets = np.array([7, 400, 1000])
    clean, radius = to_tensor(images()), EPSILON / 255
    moved, momentum = clean, np.zeros(clean.shape)

    def scaled(values: np.ndarray) -> np.ndarray:
        return values / values.std((1, 2, 3), ddof=1, keepdims=True)

    for _ in range(10):
        momentum = momentum + scaled(mean_gradient(moved, torch.from_numpy(targets - 1), "lite0", "lite1").double().numpy())
        step = torch.from_numpy(np.clip(np.rint(scaled(momentum)), -2, 2)).float()
        moved = (moved - radius / 10 * step).clamp(clean - radius, clean + radius).clamp(0, 1)
    made = own("targeted_attacks/momentum_std").attack(images(), targets, EPSILON)
    differing = made != within(images(), to_pixels(moved), EPSILON)
    assert differing.mean() < 0.002  # a value on the edge of rounding may fall to either side


@pytest.mark.parametrize("name", ["attacks/three_phases", "targeted_attacks/three_phases_target"])
def test_the_phases_are_steps_of_falling_size(own, monkeypatch, name) -> None:
    """Without jitter: nine steps of a quarter of epsilon, six of an eighth, four of a sixteenth, within the ball."""
    attack = own(name)
    assert sum(steps for steps, _ in attack.PHASES) == 19
    monkeypatch.setattr(attack, "JITTER", 0)
    monkeypatch.setattr(attack, "NOISE", 0)
    clean, radius = to_tensor(images()), EPSILON / 255
    own_labels = (stand_in("lite0")(clean) + stand_in("lite1")(clean)).argmax(1)
    targets = np.array([7, 400, 1000])
    away = name.startswith("attacks")
    classes = own_labels if away else torch.from_numpy(targets - 1)
    moved = clean
    for share in [4] * 9 + [8] * 6 + [16] * 4:
        step = mean_gradient(moved, classes, "lite0", "lite1").sign() * radius / share
        moved = (moved + step if away else moved - step).clamp(clean - radius, clean + radius).clamp(0, 1)
    made = attack.attack(images(), *(() if away else (targets,)), EPSILON)
    differing = made != within(images(), to_pixels(moved), EPSILON)
    assert differing.mean() < 0.01  # a gradient of nearly zero has the sign of its last digit


@pytest.mark.parametrize("name", ["attacks/three_phases", "targeted_attacks/three_phases_target"])
def test_the_jitter_is_an_affine_map_and_noise(own, monkeypatch, name) -> None:
    attack = own(name)
    clean = to_tensor(images())
    monkeypatch.setattr(attack, "JITTER", 0)
    noisy = attack.jittered(clean, 0.1, torch.Generator().manual_seed(0)) - clean
    assert 0.015 < float(noisy.abs().max()) <= 0.02 + 1e-6
    monkeypatch.setattr(attack, "JITTER", 0.1)
    monkeypatch.setattr(attack, "NOISE", 0)
    flat = torch.full((2, 3, 24, 24), 0.25)
    assert torch.allclose(attack.jittered(flat, 0.1, torch.Generator().manual_seed(0)), flat)
    ramp = torch.linspace(0, 1, 24).expand(4, 3, 24, 24)
    slopes = attack.jittered(ramp, 0.1, torch.Generator().manual_seed(0))[:, 0, 10:14, 10:14].diff(dim=-1).mean((1, 2)) * 23
    assert (slopes > 0.89).all()
    assert (slopes < 1.11).all()
    assert float(slopes.std()) > 0  # every image has a map of its own


def opened(name: str) -> Target:
    """A defense as a white-box attack is given it."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a directory's content is the submission's identity
    try:
        return target(HOME / "defenses" / name)
    finally:
        sys.dont_write_bytecode = before


@pytest.mark.parametrize("name", sorted(path.name for path in (HOME / "defenses").iterdir()))
def test_what_an_attacker_is_given_is_the_defense(own, monkeypatch, name) -> None:
    """The same labels as the entry's own program, and a gradient for every image."""
    monkeypatch.setattr(lite_nets, "load", lambda name, size=None: stand_in(name, 240))  # the size of the committed denoiser
    defense, given, pixels = own(f"defenses/{name}"), opened(name), to_tensor(images())
    assert given.label_offset == 1
    assert given.randomised == (name == "resize_pad")
    torch.manual_seed(3)
    answered = defense.classify(images())
    torch.manual_seed(3)
    assert np.array_equal(given.predict(pixels), answered)
    gradient = white_box.mean_gradient(lambda leaf: white_box.pass_identity(given, leaf), pixels, torch.tensor([1, 2, 3]))
    assert (gradient.abs().amax((1, 2, 3)) > 0).all()


def test_resize_pad_answers_the_mean_probability(own, monkeypatch) -> None:
    defense, pixels = own("defenses/resize_pad"), to_tensor(images(2))
    shifts = iter([0.0, 0.1, 0.2, 0.3, 0.4])
    monkeypatch.setattr(defense, "pattern", lambda given: given * (1 - next(shifts)))
    expected = sum(stand_in("lite2")(pixels * (1 - each)).softmax(1) for each in (0.0, 0.1, 0.2, 0.3, 0.4)) / 5
    assert torch.allclose(defense.logits(pixels).softmax(1), expected, atol=1e-6)


def test_resize_pad_draws_the_papers_sizes_on_grey(own) -> None:
    defense = own("defenses/resize_pad")
    padded = [defense.pattern(torch.ones(1, 3, 299, 299)) for _ in range(20)]
    assert all(each.shape == (1, 3, 331, 331) for each in padded)
    sizes = [round(float((each > 0.9).float().mean() ** 0.5) * 331) for each in padded]
    assert min(sizes) >= 299
    assert max(sizes) <= 330
    assert {value for each in padded for value in each.unique().tolist()} <= {0.5, 1.0}
    assert ((defense.classify(images()) >= 1) & (defense.classify(images()) <= 1000)).all()


@pytest.mark.parametrize(("name", "function"), [("jpeg", "compress"), ("bit_depth", "squeeze")])
def test_a_filter_is_that_of_the_digits(own, name, function) -> None:
    ours, theirs = own(f"defenses/{name}"), entry(f"defenses/{name}", "defense.py")
    filtered = getattr(ours, function)(images())
    assert np.array_equal(filtered, getattr(theirs, function)(images()))
    assert np.array_equal(ours.classify(images()), stand_in("lite2").classify(filtered))


def test_the_denoiser_takes_its_noise_off_at_the_nets_size(own, monkeypatch) -> None:
    defense = own("defenses/guided_denoiser")
    monkeypatch.setattr(defense, "NOISE", lambda pixels: torch.full_like(pixels, 0.1))
    large = torch.rand(2, 3, 48, 48)
    small = interpolate(large, (24, 24), mode="bilinear", antialias=True)
    assert torch.allclose(defense.logits(large), stand_in("lite1")((small - 0.1).clamp(0, 1)), atol=1e-5)


def test_what_is_trained_against_attacks_is_all_of_what_is_small_in_the_net() -> None:
    """Each name and shape is the net's: what is not would be left out without a word."""
    net = timm.create_model("tf_efficientnet_lite1")
    kinds = (torch.nn.BatchNorm2d, timm.layers.BatchNormAct2d)
    wanted = {f"{name}.{part}": getattr(module, part).shape for name, module in net.named_modules() if isinstance(module, kinds)
              for part in ("weight", "bias")} | {"conv_stem.weight": net.conv_stem.weight.shape}
    trained = load_file(HOME / "defenses" / "adversarial_training" / "trained.safetensors")
    assert {name: tensor.shape for name, tensor in trained.items()} == wanted


def test_feature_squeezing_by_hand(own) -> None:
    detector = own("detectors/feature_squeezing")
    pixels = to_tensor(images(2))
    bits, median = detector.squeezed(pixels)
    assert np.allclose(bits.numpy(), np.rint(pixels.numpy() * 31) / 31)
    values = pixels.numpy()[0, 0]
    four = np.sort([values[y : y + 2, x : x + 2].ravel() for y in range(23) for x in range(23)], axis=1)
    assert np.allclose(median[0, 0, :23, :23].reshape(-1).numpy(), four[:, 1])
    net = stand_in("lite2")
    distances = [(net(each).softmax(1) - net(pixels).softmax(1)).abs().sum(1) for each in (bits, median)]
    assert np.allclose(detector.scores(images(2)), torch.maximum(*distances).numpy(), atol=1e-6)


#: With the pretrained nets.
real = pytest.mark.photos
COUNT = 6


@functools.cache
def photographs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from harness.dataset.load import load

    data = load(SUBMISSIONS.parent / "dataset" / "photos")
    pixels = data.pixels(data.batches(COUNT, (8,))[0]).copy()
    return pixels, data.labels[:COUNT], data.targets[:COUNT].astype(np.int64)  # as the SDK gives them


@functools.cache
def attacked(name: str) -> np.ndarray:
    pixels, _, targets = photographs()
    made: np.ndarray = entry(f"photos/{name}").attack(pixels.copy(), *(() if name.startswith("attacks") else (targets,)), 8)
    return made


def right(defense: str, pixels: np.ndarray) -> int:
    return int((entry(f"photos/defenses/{defense}", "defense.py").classify(pixels.copy()) == photographs()[1]).sum())


@real
@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_the_weights_are_those_of_the_net(name: str) -> None:
    given = torch.load(lite_nets.weights(name), map_location="cpu", weights_only=True)
    net = timm.create_model(f"tf_efficientnet_{name}")
    assert set(lite_nets.translated(given, net)) == set(net.state_dict())
    assert right(f"undefended_{name}", photographs()[0]) == COUNT


@real
@pytest.mark.parametrize(("attack", "net"), [
    ("attacks/i_fgsm", "lite0"), ("attacks/mi_fgsm", "lite0"),
    ("attacks/mi_fgsm_ensemble", "lite1"), ("attacks/three_phases", "lite1"),
])  # fmt: skip
def test_an_attack_fools_its_own_net(attack: str, net: str) -> None:
    assert right(f"undefended_{net}", attacked(attack)) <= 1


@real
@pytest.mark.parametrize(("attack", "least"), [("momentum_std", COUNT - 2), ("three_phases_target", COUNT // 2)])
def test_a_targeted_attack_hits_on_its_own_nets(attack: str, least: int) -> None:
    labels = entry("photos/defenses/undefended_lite0", "defense.py").classify(attacked(f"targeted_attacks/{attack}"))
    assert (labels == photographs()[2]).sum() >= least


@real
@pytest.mark.parametrize("name", ["bit_depth", "guided_denoiser"])
def test_what_was_private_falls_to_who_is_given_it(name: str) -> None:
    """Passed as the identity, or differentiable as it is; attacks that have other nets leave it more."""
    defense, (pixels, labels, _) = opened(name), photographs()
    made = white_box.pgd(pixels[:3].copy(), 8, defense, lambda leaf: white_box.pass_identity(defense, leaf))
    assert (defense.predict(to_tensor(made)) == labels[:3]).sum() <= 1


@real
@pytest.mark.parametrize("defense", ["jpeg", "bit_depth", "resize_pad", "guided_denoiser", "adversarial_training"])
def test_a_defense_leaves_clean_images_what_they_are(defense: str) -> None:
    assert right(defense, photographs()[0]) >= COUNT - 1


@real
def test_adversarial_training_keeps_more_of_a_transferred_attack_than_the_net_behind_it() -> None:
    made = attacked("attacks/mi_fgsm")
    assert right("adversarial_training", made) > right("undefended_lite1", made)


@real
def test_an_attack_is_the_same_one_shot_and_served(tmp_path: Path) -> None:
    pixels, _, targets = photographs()
    (tmp_path / "served").mkdir()
    once = one_shot("photos/attacks/fgsm", tmp_path, pixels[:2], targets[:2], 8)
    (kept,) = served("photos/attacks/fgsm", tmp_path / "served", pixels[:2], targets[:2], [8])
    assert np.array_equal(once, kept)
