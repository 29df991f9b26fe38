"""The defense by adversarial transformation, the attacks on it that know its code or may ask it, and their common mathematics."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")

from entry_loading import SUBMISSIONS, digits, entry, labels_of

from field_kit import white_box
from field_kit.model import load, to_tensor
from field_kit.transformation import Transformation
from harness.sdk import BEYOND_BUDGET, Target, target

pytestmark = pytest.mark.field

HOME = SUBMISSIONS / "transformation"
OURS = [f"transformation/defenses/adversarial_transformation{name}" for name in ("", "_trained", "_untrained")]
RANDOM = [*OURS, "defenses/resize_pad"]
CERTAIN = [f"defenses/{name}" for name in ("adversarial_training_pgd", "bit_depth", "guided_denoiser", "jpeg")]
WHITE_BOX = [
    "bpda_clipped_identity", "bpda_identity", "bpda_soft_sign", "bpda_tanh", "eot", "reparameterisation", "white_box_transfer",
]  # fmt: skip
#: name -> what stands for the sign's derivative at -2, -.5, 0, .5, 2.
DERIVATIVES = {
    "bpda_soft_sign": [1 / 9, 1 / 2.25, 1.0, 1 / 2.25, 1 / 9],
    "bpda_tanh": [0.0706508, 0.7864477, 1.0, 0.7864477, 0.0706508],
    "bpda_clipped_identity": [0.0, 1.0, 1.0, 1.0, 0.0],
}
SHAPE = (3, 4, 4)


@functools.cache
def opened(name: str) -> Target:
    """A defense as an attack sees it."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a directory's content is the submission's identity
    try:
        return target(SUBMISSIONS / name)
    finally:
        sys.dont_write_bytecode = before


class Linear:
    """Logits ``W x + b`` in numpy and in torch."""

    def __init__(self, classes: int = 5, scale: float = 1.0) -> None:
        random = np.random.default_rng(classes)
        self.weight, self.bias = scale * random.normal(size=(classes, 48)), random.normal(size=classes)

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        weight, bias = (torch.from_numpy(each).to(pixels.dtype) for each in (self.weight, self.bias))
        return pixels.flatten(1) @ weight.T + bias

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        logits = self.weight @ x + self.bias
        return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()

    def gradient(self, x: np.ndarray, target: int) -> np.ndarray:
        """Of the cross-entropy, by hand."""
        return self.weight.T @ (self.probabilities(x) - np.eye(len(self.bias))[target])

    def hessian(self, x: np.ndarray) -> np.ndarray:
        chance = self.probabilities(x)
        return self.weight.T @ (np.diag(chance) - np.outer(chance, chance)) @ self.weight


def points(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (count, 48))


def tensor(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).reshape(-1, *SHAPE)


def test_transformation_is_that_of_an_independent_loop() -> None:
    net, x = Linear(), points(6)
    start = x + np.random.default_rng(1).uniform(-0.2, 0.2, x.shape)
    wanted = []
    for each, begin in zip(x, start, strict=True):
        target, moved = int(np.argmin(net.weight @ each + net.bias)), begin
        for _ in range(13):
            moved = moved - 0.04 * np.sign(net.gradient(moved, target))
            moved = np.minimum(np.maximum(moved, each - 0.2), each + 0.2)
        wanted.append(moved)
    made = Transformation(net).moved_from(tensor(start), tensor(x))
    assert np.allclose(made.flatten(1).numpy(), wanted, atol=1e-12)


def test_transformation_stays_in_the_ball_and_goes_towards_the_least_likely_class() -> None:
    net, x = Linear(scale=0.05), points(20)
    moved = Transformation(net)(tensor(x)).flatten(1).numpy()
    assert np.abs(moved - x).max() <= 0.2 + 1e-12
    assert np.abs(moved - x).max() > 0.19
    for before, after in zip(x, moved, strict=True):
        target = net.probabilities(before).argmin()
        assert net.probabilities(after)[target] > net.probabilities(before)[target]


def test_transformation_starts_anywhere_and_its_images_know_nothing_of_one_another() -> None:
    x = tensor(points(4))
    transformation = Transformation(Linear(), steps=0)
    started = torch.stack([transformation(x) - x for _ in range(200)])
    assert float(started.abs().max()) <= 0.2
    assert float(started.mean().abs()) < 0.01
    assert float(started.std()) == pytest.approx(0.2 / 3**0.5, rel=0.02)
    alone = Transformation(Linear()).moved_from(x[2:3], x[2:3])
    assert torch.allclose(Transformation(Linear()).moved_from(x, x)[2:3], alone)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_gradients_of_bpda_are_those_of_the_chain_rule(steps: int) -> None:
    """dt/dx of unprojected steps: each multiplies by I - step * D(gradient) * H."""
    net, x = Linear(scale=0.3), points(1)
    own = entry("transformation/attacks/bpda_soft_sign")
    transformation = Transformation(net, delta=10.0, steps=steps)
    leaf = tensor(x).requires_grad_()
    with white_box.SmoothSign(own.derivative):
        moved = transformation.moved_from(leaf, leaf)
    direction = np.random.default_rng(3).normal(size=48)
    (made,) = torch.autograd.grad((moved.flatten() * torch.from_numpy(direction)).sum(), leaf)
    target, at, jacobian = int(np.argmin(net.weight @ x[0] + net.bias)), x[0].copy(), np.eye(48)
    for _ in range(steps):
        gradient = net.gradient(at, target)
        jacobian = (np.eye(48) - 0.04 * np.diag(1 / (1 + np.abs(gradient)) ** 2) @ net.hessian(at)) @ jacobian
        at = at - 0.04 * np.sign(gradient)
    assert np.allclose(moved.detach().flatten().numpy(), at)
    assert np.allclose(made.flatten().numpy(), jacobian.T @ direction, atol=1e-9)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_bpda_changes_the_signs_derivative_and_not_the_sign(name: str) -> None:
    values = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    with white_box.SmoothSign(entry(f"transformation/attacks/{name}").derivative):
        forwards = torch.cat([values.sign(), torch.sign(values)])
    assert forwards.tolist() == 2 * [-1, -1, 0, 1, 1]
    (backwards,) = torch.autograd.grad((forwards * torch.tensor([3.0] * 5 + [0.0] * 5)).sum(), values)
    assert backwards.tolist() == pytest.approx([3 * each for each in DERIVATIVES[name]], abs=1e-6)
    (plain,) = torch.autograd.grad(values.sign().sum(), values)
    assert not plain.any()


def test_the_identity_is_passed_backwards_at_the_transformed_point() -> None:
    net, x = Linear(), points(3)

    def shifted(pixels: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.floor(pixels.detach().numpy() * 4) / 4)

    def smoothly(target: white_box.OpenDefense, pixels: torch.Tensor) -> torch.Tensor:
        return white_box.pass_smooth(target, pixels, torch.ones_like)

    target = white_box.OpenDefense(net, shifted)
    classes = torch.tensor([0, 1, 2])
    for passed in (white_box.pass_identity, smoothly):
        made = white_box.mean_gradient(functools.partial(passed, target), tensor(x), classes)
        wanted = [net.gradient(np.floor(each * 4) / 4, row) for row, each in enumerate(x)]
        assert np.allclose(made.flatten(1).numpy(), wanted)


def test_eot_is_the_mean_over_the_defenses_calls() -> None:
    nets, x = [Linear(4), Linear(4, 2.0), Linear(4, 0.5)], points(2)
    calls = iter(nets)

    def each_in_turn(pixels: torch.Tensor) -> torch.Tensor:
        return next(calls)(pixels)

    made = white_box.mean_gradient(each_in_turn, tensor(x), torch.tensor([3, 1]), samples=3)
    wanted = [np.mean([net.gradient(each, row) for net in nets], axis=0) for each, row in zip(x, (3, 1), strict=True)]
    assert np.allclose(made.flatten(1).numpy(), wanted)


def test_eot_calls_a_certain_defense_once(monkeypatch: pytest.MonkeyPatch) -> None:
    own = entry("transformation/attacks/eot")
    asked = []
    monkeypatch.setattr(own, "pgd", lambda *_, samples: asked.append(samples))
    for randomised in (True, False):
        own.attack(np.zeros((1, 4, 4, 3), np.uint8), 8, white_box.OpenDefense(Linear(), randomised=randomised))
    assert asked == [10, 1]


@pytest.mark.parametrize("name", [*RANDOM, *CERTAIN])
def test_a_whitebox_says_what_the_defense_says(name: str) -> None:
    images, labels, _ = digits(40, 100)
    target = opened(name)
    said = target.predict(to_tensor(images))
    assert np.mean(said == labels) >= 0.9
    assert getattr(target, "randomised", False) == (name in RANDOM)
    assert np.mean(labels_of(name, images) == said) >= (0.9 if name in RANDOM else 1)


def test_the_external_net_takes_what_is_transformed_for_the_least_likely_class() -> None:
    images, _, _ = digits(10)
    pixels = to_tensor(images)
    for name in ("_trained", ""):
        net = load(HOME / f"defenses/adversarial_transformation{name}" / "external.json")
        moved = opened(f"{OURS[0]}{name}").transform(pixels)
        assert float((moved - pixels).abs().max()) <= 0.2 + 1e-6
        wanted = net(pixels).argmin(1)
        before, after = (net(each).softmax(1)[torch.arange(10), wanted] for each in (pixels, moved))
        assert (after > before).all()


def test_the_grey_box_is_the_classifier_alone() -> None:
    images, _, _ = digits(4)
    pixels = to_tensor(images)
    base = opened(f"{OURS[0]}/base")
    assert base.transform(pixels) is pixels
    assert torch.equal(base.logits(pixels), opened(OURS[0]).logits(pixels))


@pytest.mark.parametrize("name", WHITE_BOX)
def test_white_box_attacks_fool_a_defense_that_changes_little(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(white_box, "STEPS", 8)
    images, labels, _ = digits(6)
    target = opened("defenses/jpeg")
    own = entry(f"transformation/attacks/{name}")
    monkeypatch.setattr(own, "PASSES", 6, raising=False)
    made = own.attack(images.copy(), 32, target)
    assert made.dtype == np.uint8
    assert np.abs(made.astype(int) - images).max() <= 32
    assert np.mean(labels_of("defenses/jpeg", made) == labels) <= 0.25


def test_reparameterisation_learns_what_can_be_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    own = entry("transformation/attacks/reparameterisation")
    monkeypatch.setattr(own, "BATCH", 12)
    images, _, _ = digits(6)
    pixels = to_tensor(images)

    def paler(values: torch.Tensor) -> torch.Tensor:
        return values * 0.5

    net = own.learnt(white_box.OpenDefense(Linear(), paler), pixels, 16 / 255)
    error = float((net(pixels) - paler(pixels)).abs().mean())
    assert error < 0.5 * float((pixels - paler(pixels)).abs().mean())


class Asked:
    """A linear classifier of two classes behind a budget, which counts for each image."""

    classes = 0

    def __init__(self, count: int, budget: int) -> None:
        random = np.random.default_rng(5)
        self.weight, self.bias = random.normal(size=48), 0.0
        self.budget, self.asked = budget, np.zeros(count, int)

    def margin(self, images: np.ndarray) -> np.ndarray:
        return (images.reshape(len(images), -1) - 128.0) @ self.weight + self.bias

    def labels(self, images: np.ndarray, index: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8
        answers = (self.margin(images) > 0).astype(np.int64)
        for row, image in enumerate(index):
            self.asked[image] += 1
            if self.asked[image] > self.budget:
                answers[row] = BEYOND_BUDGET
        return answers


def images_of_two_classes(count: int) -> np.ndarray:
    return np.random.default_rng(6).integers(90, 166, (count, 4, 4, 3), dtype=np.uint8)


def test_hop_skip_jump_comes_near_the_boundary_within_its_budget() -> None:
    images = images_of_two_classes(6)
    oracle = Asked(6, 1500)
    before = oracle.margin(images)
    made = entry("transformation/attacks/hop_skip_jump").attack(images, 255, oracle)
    assert ((oracle.margin(made) > 0) != (before > 0)).all()
    nearest = np.abs(before) / np.abs(oracle.weight).sum()
    assert (np.abs(made.astype(int) - images).max((1, 2, 3)) <= 1.5 * nearest + 3).all()
    assert (oracle.asked > 100).all()


class OneLabelForNoise(Asked):
    """The same, but whatever is far from grey is of the second class."""

    def margin(self, images: np.ndarray) -> np.ndarray:
        far = np.abs(images.reshape(len(images), -1) - 128.0).max(1) > 100
        return np.where(far, 1.0, super().margin(images))


def test_hop_skip_jump_starts_from_another_image_where_all_noise_has_one_label() -> None:
    images = images_of_two_classes(6)
    oracle = OneLabelForNoise(6, 400)
    oracle.bias = -float(np.median(oracle.margin(images)))
    before = oracle.margin(images) > 0
    assert before.sum() == 3
    made = entry("transformation/attacks/hop_skip_jump").attack(images, 255, oracle)
    assert ((oracle.margin(made) > 0) != before).all()


def test_hop_skip_jump_asks_each_image_no_more_once_told() -> None:
    images = images_of_two_classes(3)
    oracle = Asked(3, 7)
    made = entry("transformation/attacks/hop_skip_jump").attack(images, 4, oracle)
    assert np.abs(made.astype(int) - images).max() <= 4
    # The last question of an image may be a whole set of probes.
    assert (oracle.asked <= 7 + 60).all()


def test_gen_attack_breeds_the_target() -> None:
    images = images_of_two_classes(4)
    oracle = Asked(4, 600)
    before = oracle.margin(images) > 0
    bound = int(np.ceil(5 * (np.abs(oracle.margin(images)) / np.abs(oracle.weight).sum()).max()))
    made = entry("transformation/targeted_attacks/gen_attack").attack(images, 1 - before.astype(np.int64), bound, oracle)
    assert ((oracle.margin(made) > 0) != before).all()
    assert np.abs(made.astype(int) - images).max() <= bound
    assert (oracle.asked <= 600).all()


class Scored(Asked):
    """The same with scores beside the labels; a silent one has none to give."""

    classes = 2

    def __init__(self, count: int, budget: int, *, silent: bool = False) -> None:
        super().__init__(count, budget)
        self.silent = silent

    def __call__(self, images: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, margin = self.labels(images, index), self.margin(images) / np.abs(self.weight).sum()
        scores = np.stack([-margin, margin], 1)
        scores[(labels < 0) | self.silent] = np.nan
        return labels, scores


def test_gen_attack_breeds_by_scores_where_there_are_any() -> None:
    """The target's score less the others' leads it there, and sooner than labels do."""
    images = images_of_two_classes(4)
    asked = {}
    for name, oracle in {"scores": Scored(4, 3000), "silent": Scored(4, 3000, silent=True)}.items():
        before = oracle.margin(images) > 0
        bound = int(np.ceil(2.5 * (np.abs(oracle.margin(images)) / np.abs(oracle.weight).sum()).max()))
        made = entry("transformation/targeted_attacks/gen_attack").attack(images, 1 - before.astype(np.int64), bound, oracle)
        assert np.abs(made.astype(int) - images).max() <= bound
        if name == "scores":
            assert ((oracle.margin(made) > 0) != before).all()
        asked[name] = oracle.asked.sum()
    assert asked["scores"] < asked["silent"]


def test_gen_attacks_fitness_by_hand() -> None:
    class Three:
        classes = 3

        def __call__(self, images: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            assert index.tolist() == [4] * 6
            scores = np.log([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.1, 0.8, 0.1], [0.2, 0.5, 0.3], [0.4, 0.4, 0.2]])
            return scores.argmax(1), scores.astype(np.float32)

    members = np.zeros((1, 6, 2, 2, 3), np.int16)
    targets = np.array([0, 0, 0, 0, 2])
    own = entry("transformation/targeted_attacks/gen_attack")
    fitness, hit, told = own.judged_by_scores(members, np.array([4]), targets, Three())
    assert fitness[0] == pytest.approx(np.log([3 / 7, 1 / 9, 4, 1 / 9, 3 / 7, 1 / 4]), rel=1e-5)
    assert (hit.tolist(), told.tolist()) == ([True], [True])


def test_gen_attack_ends_with_its_budget() -> None:
    images = images_of_two_classes(3)
    oracle = Asked(3, 100)
    made = entry("transformation/targeted_attacks/gen_attack").attack(images, np.full(3, 7), 4, oracle)
    assert np.abs(made.astype(int) - images).max() <= 4
    assert (oracle.asked <= 100 + 24).all()


@pytest.mark.parametrize("name", [*RANDOM, *CERTAIN, "defenses/undefended_plain"])
def test_scores_are_those_that_the_labels_are_the_largest_of(name: str) -> None:
    """Attacks by queries may be answered both."""
    labels, scores = entry(name, "defense.py").answers(digits(5)[0].copy())
    assert scores.shape == (5, 10)
    assert np.array_equal(scores.argmax(1), labels)


@pytest.mark.parametrize("path", sorted(HOME.glob("*/*/metadata.json")), ids=lambda path: path.parent.name)
def test_weights_are_small_and_only_a_defense_has_any(path: Path) -> None:
    weights = list(path.parent.rglob("*.safetensors"))
    assert all(file.stat().st_size < 500_000 for file in weights)
    assert len(weights) == (2 if json.loads(path.read_text())["type"] == "defense" else 0)
