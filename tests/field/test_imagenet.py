"""The entries for 299x299: the same code as on digits, timm's nets, labels 1..1000, on random weights at full size."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
save_file = pytest.importorskip("safetensors.torch").save_file

from entry_loading import SUBMISSIONS, entry, metadata, one_shot, start

pytestmark = pytest.mark.field

HOME = SUBMISSIONS / "imagenet"
ENTRIES = sorted(str(path.parent.relative_to(HOME)) for path in HOME.glob("*/*/metadata.json"))
BASELINES = {
    "attacks/fgsm",
    "targeted_attacks/one_step_target",
    "targeted_attacks/iterative_target_10",
    "targeted_attacks/iterative_target_20",
    "defenses/inception_v3",
    "defenses/adversarial_inception_v3",
    "defenses/ensemble_adversarial_inception_resnet_v2",
}
SPECS = sorted(path for name in ("model", "net_*") for path in HOME.glob(f"*/*/{name}.json"))


class Weights:
    """Random weights of a net as a file, as fetch.py would leave timm's; made when first asked for."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def of(self, spec: dict[str, Any]) -> str:
        """Return the file's path.

        Batch normalisation takes its statistics from noise: without any, a deep net of fresh weights is certain of one class
        whatever it sees, and every gradient is zero.
        """
        path = self.directory / Path(spec["weights"]).name
        if not path.exists():
            torch.manual_seed(0)
            net = timm.create_model(spec["net"], num_classes=spec["classes"])
            for module in net.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.momentum = None
            with torch.no_grad():
                net.train()(torch.rand(4, 3, 149, 149) * 2 - 1)
            save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)
        return str(path)

    def entry(self, name: str, directory: Path) -> Path:
        """Copy an entry whose nets then have these weights."""
        copy = directory / "entry"
        shutil.copytree(HOME / name, copy)
        for spec_file in [*copy.glob("model.json"), *copy.glob("net_*.json")]:
            spec = json.loads(spec_file.read_text())
            spec_file.write_text(json.dumps(spec | {"weights": self.of(spec)}))
        return copy


@pytest.fixture(scope="module")
def weights() -> Iterator[Weights]:
    with tempfile.TemporaryDirectory() as directory:  # hundreds of megabytes: not where pytest keeps the last three runs
        yield Weights(Path(directory))


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 299, 299, 3), dtype=np.uint8)


def test_the_baselines_and_winners_are_there() -> None:
    assert len(ENTRIES) == 12
    assert set(ENTRIES) >= BASELINES


@pytest.mark.parametrize("name", ENTRIES)
def test_metadata(name: str) -> None:
    kind = {"attacks": "attack", "targeted_attacks": "targeted_attack", "defenses": "defense"}[name.split("/", maxsplit=1)[0]]
    assert metadata(f"imagenet/{name}") == {
        "type": kind,
        "container": "localhost/harness-imagenet:1",
        "entry_point": "run.sh",
        "protocol": "serve",
        **({"baseline": True} if name in BASELINES else {}),
    }
    assert (HOME / name / "run.sh").stat().st_mode & 0o111 == 0o111


@pytest.mark.parametrize("name", [name for name in ENTRIES if "attacks/" in name])
def test_the_code_is_that_of_the_digits(name: str) -> None:
    """But for how many images fit into memory at once."""
    own = (HOME / name / "attack.py").read_text()
    assert own.replace(", at_once=10)", ")").replace(", at_once=2)", ")") == (SUBMISSIONS / name / "attack.py").read_text()


@pytest.mark.parametrize("path", SPECS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_spec_says_what_timm_says(path: Path) -> None:
    spec = json.loads(path.read_text())
    tag = Path(spec["weights"]).stem
    assert tag in entry("imagenet", "fetch.py").NAMES
    assert tag.split(".")[0] == spec["net"]
    known = timm.models.get_pretrained_cfg(tag)
    assert (list(known.mean), list(known.std), known.num_classes) == (spec["mean"], spec["std"], spec["classes"])
    assert spec["label_offset"] == 1
    wanted = 331 if path.parent.name == "resize_pad" else known.input_size[-1]
    assert spec["size"] == [wanted, wanted]


def test_the_image_fetches_at_build_time_only() -> None:
    dockerfile = (HOME / "Dockerfile").read_text()
    assert "RUN HF_HOME=/tmp/hub python /opt/imagenet/fetch.py /opt/imagenet" in dockerfile
    assert not any("pretrained" in json.loads(path.read_text()) for path in SPECS)


def test_labels_count_from_one(tmp_path: Path, weights: Weights) -> None:
    defense = entry(str(weights.entry("defenses/inception_v3", tmp_path)), "defense.py")
    assert defense.NET.labels(torch.eye(1000)).tolist() == list(range(1, 1001))
    labels = defense.classify(images(2))
    assert labels.shape == (2,)
    assert ((labels >= 1) & (labels <= 1000)).all()


def test_resize_pad_draws_the_papers_sizes(tmp_path: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    defense = entry(str(weights.entry("defenses/resize_pad", tmp_path)), "defense.py")
    padded = [defense.pattern(torch.ones(1, 3, 299, 299)) for _ in range(20)]
    assert all(each.shape == (1, 3, 331, 331) for each in padded)
    sizes = [round(float(each.mean() ** 0.5) * 331) for each in padded]
    assert min(sizes) >= 299
    assert max(sizes) <= 330
    monkeypatch.setattr(defense, "PATTERNS", 1)
    assert 1 <= defense.classify(images(1))[0] <= 1000


@pytest.mark.parametrize("name", ["attacks/fgsm", "targeted_attacks/one_step_target"])
def test_one_step_attacks_at_full_size(name: str, tmp_path: Path, weights: Weights) -> None:
    own = entry(str(weights.entry(name, tmp_path)))
    clean = images(1)
    targets = () if name.startswith("attacks") else (np.array([1000]),)
    made = own.attack(clean.copy(), *targets, 4)
    assert made.shape == clean.shape
    assert np.abs(made.astype(int) - clean).max() == 4


@pytest.mark.slow
@pytest.mark.parametrize("name", [
    "attacks/mi_fgsm_ensemble", "attacks/mi_fgsm_diverse_ensemble", "targeted_attacks/mi_fgsm_ensemble_target",
])  # fmt: skip
def test_ensembles_at_full_size(name: str, tmp_path: Path, weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step through all five nets."""
    own = entry(str(weights.entry(name, tmp_path)))
    assert len(own.NETS) == 5
    monkeypatch.setattr(own, "STEPS", 1)
    clean = images(1)
    made = own.attack(clean.copy(), *(() if name.startswith("attacks") else (np.array([1000]),)), 4)
    assert 0 < np.abs(made.astype(int) - clean).max() <= 4


@pytest.mark.slow
def test_the_programs_keep_the_contract(tmp_path: Path, weights: Weights) -> None:
    (tmp_path / "attack").mkdir()
    attack = weights.entry("attacks/fgsm", tmp_path / "attack")
    made = one_shot(str(attack), tmp_path, images(2), np.zeros(2), 8)
    assert 0 < np.abs(made.astype(int) - images(2)).max() <= 8
    (tmp_path / "defense").mkdir()
    defense = weights.entry("defenses/inception_v3", tmp_path / "defense")
    result = tmp_path / "result.csv"
    program = start(str(defense), [str(tmp_path / "made"), str(result)])
    _, errors = program.communicate(timeout=300)
    assert program.returncode == 0, errors
    rows = [line.split(",") for line in result.read_text().splitlines()]
    assert [row[0] for row in rows] == ["000.png", "001.png"]
    assert all(1 <= int(row[1]) <= 1000 for row in rows)
