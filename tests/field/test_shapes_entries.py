"""The entries for the rendered shapes: contract, mathematics against a second way to it, effect on a handful of images."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("foolbox")
pytest.importorskip("safetensors")
pytest.importorskip("sklearn")

from entry_loading import SUBMISSIONS, entry, labels_of, metadata, one_shot, served, start

from field_kit.model import to_tensor
from field_kit.traces import column_stripes, largest_error, noise
from harness.dataset.shapes import Shapes, shapes
from harness.formats.threats import enforce
from harness.sdk import BEYOND_BUDGET
from harness.tracks import Threat

pytestmark = pytest.mark.field

HOME = SUBMISSIONS / "shapes"
ENTRIES = sorted(path.parent for path in HOME.glob("*/*/metadata.json"))


@functools.cache
def held_out(count: int, start: int = 0) -> Shapes:
    return shapes("test", count, start)


@pytest.mark.parametrize("directory", ENTRIES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_readme_says_what_an_entry_is_and_what_it_is_not(directory: Path) -> None:
    readme = (directory / "README.md").read_text().splitlines()
    assert [line.split(":")[0] for line in readme] == [
        "- Method", "- Source", "- Parameters", "- What to expect", "- What it is not"]
    assert sum(path.stat().st_size for path in directory.glob("*.safetensors")) < 1_000_000


@pytest.mark.parametrize("name", ["undefended_a", "undefended_b", "undefended_c"])
def test_a_net_knows_clean_shapes(name: str) -> None:
    """The first 100 of the tournament's; of all 1,000 it is in submissions/shapes/RESULTS.md."""
    part = held_out(100)
    assert np.mean(labels_of(f"shapes/defenses/{name}", part.images) == part.labels) >= 0.94
    assert (HOME / "defenses" / name / "model.safetensors").stat().st_size < 500_000


# What attacks do.

#: entry -> bound of its threat, least share of 20 images that its own net then gets wrong.
ATTACKS = {
    "fgsm": (16, 0.6), "mi_fgsm": (16, 0.9), "random_noise": (16, 0), "universal_perturbation": (16, 0.2), "square": (16, 0.6),
    "lavan": (9, 0.5), "ddn": (512, 0.9), "carlini_wagner": (512, 0.8), "deepfool": (512, 0.8),
}
LEAST_NORM = ("ddn", "carlini_wagner", "deepfool")


@functools.cache
def attacked(name: str, count: int = 20) -> np.ndarray:
    return entry(f"shapes/attacks/{name}").attack(held_out(count).images.copy(), ATTACKS[name][0])


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_fools_its_own_net_within_its_bound(name: str) -> None:
    bound, least = ATTACKS[name]
    images, labels = held_out(20)
    made = attacked(name)
    assert made.dtype == np.uint8
    assert made.shape == images.shape
    threat = Threat(metadata(f"shapes/attacks/{name}").get("threat", "linf"))
    enforced = enforce(threat, images, made, bound)
    assert np.array_equal(enforced.pixels, made)
    assert enforced.refused == {}
    assert (labels_of("shapes/defenses/undefended_b", made) != labels).mean() >= least


@pytest.mark.parametrize("name", LEAST_NORM)
def test_an_attack_of_least_norm_spends_far_less_than_fgsm(name: str) -> None:
    def length(made: np.ndarray) -> float:
        return float(np.linalg.norm((made.astype(float) - held_out(20).images).reshape(20, -1), axis=1).mean())

    assert 0 < length(attacked(name)) < 0.5 * length(entry("shapes/attacks/fgsm").attack(held_out(20).images.copy(), 4))


@pytest.mark.parametrize("name", LEAST_NORM)
def test_what_resists_within_the_norm_stays_as_it_is(name: str) -> None:
    images = held_out(3).images
    assert np.array_equal(entry(f"shapes/attacks/{name}").attack(images.copy(), 1), images)


def test_lavan_changes_one_square_at_a_place_of_the_images_own() -> None:
    own = entry("shapes/attacks/lavan")
    images = held_out(6).images
    made = own.attack(images.copy(), 9)
    for image, changed in zip(images, (made != images).any(3), strict=True):
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        assert any(top <= rows.min() and rows.max() < top + 9 and left <= columns.min() and columns.max() < left + 9
                   for top, left in own.places(image, 9))
    again = own.attack(images[::-1].copy(), 9)[::-1]
    assert (again == made).mean() > 0.999  # sums of another order may turn a sign


def test_lavan_margin_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.5], [0.0, 4.0, 1.0]])
    assert entry("shapes/attacks/lavan").margin(logits, torch.tensor([0, 2])).tolist() == [-0.5, 3.0]


def test_square_begins_with_vertical_stripes(monkeypatch: pytest.MonkeyPatch) -> None:
    own = entry("shapes/attacks/square")
    monkeypatch.setattr(own, "QUERIES", 1)
    images = np.full((2, 64, 64, 3), 100, np.uint8)
    made = own.attack(images, 16).astype(int) - 100
    assert set(np.unique(made)) == {-16, 16}
    assert (made == made[:, :1]).all()
    assert (made != made[:, :, :1]).any()


def test_squares_are_an_images_own() -> None:
    """Whatever stands beside it: served and one-shot batches have another order."""
    own, images = entry("shapes/attacks/square"), held_out(6).images
    again = own.attack(images[::-1].copy(), 16)[::-1]
    assert (again == own.attack(images.copy(), 16)).mean() > 0.99


def test_square_sides_follow_the_papers_schedule() -> None:
    """p = .3, halved at 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 of 10,000 queries; here a query is 33 of those."""
    own = entry("shapes/attacks/square")
    share = {0: 0.3, 1: 0.15, 2: 0.075, 7: 0.0375, 16: 0.01875, 299: 0.3 / 2**9}
    assert {query: own.side(query, 64) for query in share} == {
        query: max(round((value * 64 * 64) ** 0.5), 1) for query, value in share.items()}


class Oracle:
    """Answers of the net of undefended_b, so many for each image; without scores, or with all of them NaN, where told so."""

    def __init__(self, count: int, budget: int, answers: str) -> None:
        self.budget, self.asked, self.said = budget, np.zeros(count, int), answers
        self.classes = 0 if answers == "labels" else 10

    def labels(self, images: np.ndarray, index: np.ndarray) -> np.ndarray:
        assert images.dtype == np.uint8
        self.asked[index] += 1
        labels = labels_of("shapes/defenses/undefended_b", images)
        return np.where(self.asked[index] <= self.budget, labels, BEYOND_BUDGET)

    def __call__(self, images: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, scores = self.labels(images, index), entry("shapes/defenses/undefended_b", "defense.py").answers(images)[1]
        return labels, np.where((labels < 0)[:, None] | (self.said == "nothing"), np.nan, scores)


@pytest.mark.parametrize(("answers", "least"), [("scores", 0.6), ("nothing", 0.05), ("labels", 0.05)])
def test_square_by_queries_fools_who_answers(answers: str, least: float) -> None:
    images, labels = held_out(20)
    oracle = Oracle(20, 60, answers)
    made = entry("shapes/attacks/square_query").attack(images.copy(), 16, oracle)
    assert np.abs(made.astype(int) - images).max() <= 16
    fooled = labels_of("shapes/defenses/undefended_b", made) != labels
    assert fooled.mean() >= least
    assert oracle.asked.max() <= oracle.budget + 1
    assert oracle.asked[fooled].mean() < oracle.budget


def test_square_by_queries_has_the_schedule_of_square() -> None:
    asking, own = entry("shapes/attacks/square_query"), entry("shapes/attacks/square")
    assert [asking.side(query, own.QUERIES, 64) for query in range(300)] == [own.side(query, 64) for query in range(300)]


def test_a_universal_perturbation_is_the_same_on_every_image() -> None:
    own = entry("shapes/attacks/universal_perturbation")
    made = own.attack(np.full((2, 64, 64, 3), 128, np.uint8), 8).astype(int) - 128
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], np.rint(8 * own.DIRECTION))


# What detectors see.


def auroc(name: str, made: np.ndarray, clean: np.ndarray) -> float:
    suspect = entry(f"shapes/detectors/{name}", "detector.py").suspect
    high, low = suspect(made.copy()), suspect(clean.copy())
    return float(((high[:, None] > low).mean() + (high[:, None] >= low).mean()) / 2)


@pytest.mark.parametrize(("detector", "attack", "least"), [
    ("patch", "lavan", 0.95), ("stripes", "square", 0.95), ("noise", "fgsm", 0.95), ("noise", "universal_perturbation", 0.95),
    ("contest2022", "lavan", 0.9), ("contest2022", "square", 0.95), ("contest2022", "fgsm", 0.95),
    ("attack_as_defense", "ddn", 0.85), ("entropy", "ddn", 0.85), ("magnet", "mi_fgsm", 0.9),
])
def test_a_detector_sees_its_own_family(detector: str, attack: str, least: float) -> None:
    assert auroc(detector, attacked(attack), held_out(40, 100).images) >= least


@pytest.mark.parametrize("detector", ["patch", "stripes", "noise"])
def test_a_trace_says_nothing_of_least_norm(detector: str) -> None:
    assert auroc(detector, attacked("ddn"), held_out(20).images) < 0.7


def test_the_largest_error_by_hand() -> None:
    images = held_out(2).images
    assert largest_error(torch.nn.Identity(), images).tolist() == [0, 0]
    wrong = images.copy()
    wrong[1, 5, 6, 1] ^= 128
    assert largest_error(lambda _: to_tensor(images), wrong) == pytest.approx([0, 128 / 255])


def test_stripes_by_hand() -> None:
    """Red and green columns in turn: neighbours' sums are 64 and 64 at a third of a turn, 64 sqrt(3) apart; rows change nothing."""
    upright = np.zeros((1, 64, 64, 3), np.uint8)
    upright[:, :, ::2, 0] = upright[:, :, 1::2, 1] = 200
    found = column_stripes(np.concatenate([upright, upright.transpose(0, 2, 1, 3)]))
    assert found == pytest.approx([64 * 3**0.5, 0], abs=0.5)


def test_noise_by_hand() -> None:
    """A board of +5 and -5: the Laplacian is +40 on half of the pixels and cut to 0 on the others; a lone dot is no bulk."""
    board = np.indices((64, 64)).sum(0) % 2 * 10
    images = np.full((3, 64, 64, 3), 100, np.uint8)
    images[0] += board[..., None].astype(np.uint8)
    images[2, 30, 30] = 255
    assert noise(images).tolist() == [20, 0, 0]
    scipy_signal = pytest.importorskip("scipy.signal")
    kernel = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]])
    image = held_out(1).images
    whole = np.stack([scipy_signal.convolve2d(image[0, :, :, c].astype(int), kernel, "valid") for c in range(3)])
    assert noise(image)[0] == np.median(whole.clip(0, 255).max(0))


def test_the_cascade_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patch decides before stripes and stripes before noise; what none is sure of has its rank by stripes."""
    own = entry("shapes/detectors/contest2022", "detector.py")
    steps = np.linspace(0, 1, 101)
    monkeypatch.setattr(own, "CLEAN", {"patch": steps, "stripes": 10 * steps, "noise": steps})
    monkeypatch.setattr(own, "largest_error", lambda *_: np.array([1.98, 0.2, 0.2, 0.2]))
    monkeypatch.setattr(own, "column_stripes", lambda _: np.array([99.0, 19.8, 2.5, 2.5]))
    monkeypatch.setattr(own, "noise", lambda _: np.array([0.5, 5.0, 1.485, 0.5]))
    assert own.suspect(np.zeros((4, 64, 64, 3), np.uint8)) == pytest.approx([2, 2, 1.5, 0.25])


def test_magnets_divergence_and_the_entropy_are_scipys() -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    stats = pytest.importorskip("scipy.stats")
    random = torch.Generator().manual_seed(0)
    one, other = (torch.randn(5, 10, generator=random) * 8 for _ in range(2))
    for temperature in (10, 40):
        p, q = ((logits / temperature).softmax(1).double().numpy() for logits in (one, other))
        theirs = [distance.jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)]
        assert entry("shapes/detectors/magnet", "detector.py").divergence(one, other, temperature).numpy() == pytest.approx(
            theirs, rel=1e-3)
    own = entry("shapes/detectors/entropy", "detector.py")
    images = held_out(5).images
    assert own.suspect(images) == pytest.approx(stats.entropy(own.NET(to_tensor(images)).softmax(1), axis=1), rel=1e-3)


def test_steps_to_the_boundary_of_a_linear_net(monkeypatch: pytest.MonkeyPatch) -> None:
    """On w x a step changes the lead by step times the sum of |w|: the cost is lead / change, or all steps and what is left."""
    own = entry("shapes/detectors/attack_as_defense", "detector.py")
    weights = torch.linspace(-1, 1, 12).view(3, 2, 2)
    monkeypatch.setattr(own, "NET", lambda x: torch.stack([(x * weights).sum((1, 2, 3)), x.new_zeros(len(x))], 1))
    images = np.full((3, 2, 2, 3), 128, np.uint8)
    images[0, 1, 1, 2], images[1, 0, 0, 0], images[2, 0, 0, 0] = 129, 125, 250
    leads = np.abs((to_tensor(images) * weights).sum((1, 2, 3)).numpy())
    change = own.STEP * float(weights.abs().sum())
    assert leads[0] / change < own.STEPS < leads[2] / change
    cost = np.where(leads / change < own.STEPS, leads / change, own.STEPS + leads - own.STEPS * change)
    assert -own.suspect(images) == pytest.approx(cost, abs=1e-3)


def test_magnets_reformer_is_the_net_behind_the_autoencoder() -> None:
    own = entry("shapes/defenses/magnet_reformer", "defense.py")
    images, labels = held_out(40)
    again = own.AUTOENCODER(to_tensor(images))
    assert torch.equal(own.logits(to_tensor(images)), own.NET(again))
    assert 0 < float((again - to_tensor(images)).abs().mean()) < 0.03
    assert (own.classify(images) == labels).mean() >= 0.8
    moved = attacked("ddn")
    assert (own.classify(moved) == labels[:20]).mean() > (labels_of("shapes/defenses/undefended_b", moved) == labels[:20]).mean()


# The leak.


def leaked(folder: Path, formats: list[str]) -> None:
    folder.mkdir()
    for index, (image, kind) in enumerate(zip(held_out(len(formats)).images, formats, strict=True)):
        Image.fromarray(image).save(folder / f"{zlib.crc32(image):08x}{index}.png", format=kind)
    for path in folder.iterdir():
        os.utime(path, (0, 0))


def test_file_leak_would_have_won_in_2022(tmp_path: Path) -> None:
    """All files are called PNG, and only the adversarial ones are."""
    leaked(tmp_path / "in", ["PNG"] * 10 + ["JPEG"] * 10)
    _, errors = start("shapes/detectors/file_leak", [str(tmp_path / "in"), str(tmp_path / "scores.csv")]).communicate(timeout=60)
    assert not errors
    rows = dict(line.split(",") for line in (tmp_path / "scores.csv").read_text().splitlines())
    scores = np.array([float(rows[name]) for name in sorted(rows, key=lambda name: int(name[8:-4]))])
    assert (scores[:10, None] > scores[10:]).mean() > 0.8


def test_file_leak_is_served_as_it_is_run_once(tmp_path: Path) -> None:
    leaked(tmp_path / "in", ["PNG"] * 4)
    start("shapes/detectors/file_leak", [str(tmp_path / "in"), str(tmp_path / "once.csv")]).communicate(timeout=60)
    request = {"batch": "1", "input": str(tmp_path / "in"), "output": str(tmp_path / "served.csv"), "epsilon": None}
    program = start("shapes/detectors/file_leak", ["serve"], stdin=subprocess.PIPE)
    answers, errors = program.communicate(json.dumps(request) + "\n", timeout=60)
    assert [json.loads(line) for line in answers.splitlines()] == [{"ready": True}, {"batch": "1", "done": True}], errors
    assert (tmp_path / "served.csv").read_text() == (tmp_path / "once.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lavan"])
def test_one_shot_and_served(name: str, tmp_path: Path) -> None:
    images = held_out(2).images
    wanted = entry(f"shapes/attacks/{name}").attack(images.copy(), 9)
    (tmp_path / "once").mkdir()
    (tmp_path / "served").mkdir()
    assert (one_shot(f"shapes/attacks/{name}", tmp_path / "once", images, np.zeros(2, int), 9) == wanted).mean() > 0.97
    (made,) = served(f"shapes/attacks/{name}", tmp_path / "served", images, np.zeros(2, int), [9])
    assert (made == wanted).mean() > 0.97


def test_the_table_of_results_names_every_defense_and_that_nets_know_clean_shapes() -> None:
    rows = [line.strip("| \n").split(" | ") for line in (HOME / "RESULTS.md").read_text().splitlines() if line.startswith("| ")][1:]
    clean = {cells[0].rstrip("*"): float(cells[2]) for cells in rows}
    assert set(clean) >= {path.name for path in ENTRIES if path.parent.name == "defenses"}
    assert min(clean[f"undefended_{name}"] for name in "abc") >= 0.95
