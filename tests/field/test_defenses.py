"""The sample defenses and the templates: what they are made of, and that each does its work in both forms of the contract."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from entry_loading import labels_of
from PIL import Image

from harness.dataset.digits import TOURNAMENT_IMAGES, digits_split

pytestmark = pytest.mark.field

ROOT = Path(__file__).resolve().parents[2] / "submissions"
DEFENSES = sorted(path.parent for path in (ROOT / "defenses").glob("*/metadata.json"))
TEMPLATES = {name: ROOT / "templates" / name for name in ("attack", "targeted_attack", "defense")}
ENTRIES = [*DEFENSES, *TEMPLATES.values()]
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "HOME": os.environ.get("HOME", "/"),
    "OMP_NUM_THREADS": "1",
}
BASELINES = {
    "undefended_surrogate", "undefended_plain", "undefended_transformer", "undefended_mixer", "undefended_efficientnet",
    "undefended_byobnet", "adversarial_training_fgsm", "adversarial_training_pgd",
}  # fmt: skip


class Batch:
    """The first hundred tournament images, as an entry finds them."""

    def __init__(self, folder: Path) -> None:
        _, held_out = digits_split()
        self.images, self.labels = held_out.images[:100], held_out.labels[:100]
        self.names = [f"{index:03d}.png" for index in range(100)]
        self.folder = folder / "in"
        self.folder.mkdir()
        for name, image in zip(self.names, self.images, strict=True):
            Image.fromarray(image).save(self.folder / name)
        self.targets = (self.labels + 1) % 10
        rows = [f"{name},{target}\n" for name, target in zip(self.names, self.targets, strict=True)]
        (self.folder / "target_class.csv").write_text("".join(rows))


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    return Batch(tmp_path_factory.mktemp("batch"))


def start(entry: Path, *arguments: object, stdin: str = "") -> str:
    entry_point = json.loads((entry / "metadata.json").read_text())["entry_point"]
    command = [f"./{entry_point}", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=entry, env=ENVIRONMENT, input=stdin, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def read_labels(result: Path) -> np.ndarray:
    rows = dict(line.split(",")[:2] for line in result.read_text().splitlines())  # scores may follow
    return np.array([int(rows[name]) for name in sorted(rows)])


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=path.name) for path in paths]


@pytest.mark.parametrize("entry", named(ENTRIES))
def test_entry_is_complete(entry: Path) -> None:
    metadata = json.loads((entry / "metadata.json").read_text())
    light = entry.name == "attack"
    assert metadata["container"] == f"localhost/harness-{'light' if light else 'full'}:1"
    assert metadata["protocol"] == "serve"
    assert os.access(entry / metadata["entry_point"], os.X_OK)
    readme = (entry / "README.md").read_text()
    assert readme.startswith("# ")
    assert len(readme.splitlines()) == 5
    assert "What to expect: " in readme
    assert sum(path.stat().st_size for path in entry.glob("*.safetensors")) < 1_000_000


def test_baselines_are_marked() -> None:
    marked = {path.name for path in DEFENSES if json.loads((path / "metadata.json").read_text()).get("baseline")}
    assert marked == BASELINES


def test_every_copy_of_a_net_is_the_same() -> None:
    by_recipe: dict[str, set[bytes]] = {}
    for spec_file in ROOT.rglob("*.json"):
        spec = json.loads(spec_file.read_text())
        if "recipe" in spec:
            by_recipe.setdefault(spec["recipe"], set()).add((spec_file.parent / spec["weights"]).read_bytes())
    assert len(by_recipe) > 10
    assert [recipe for recipe, contents in by_recipe.items() if len(contents) > 1] == []


@pytest.mark.parametrize("entry", named([*DEFENSES, TEMPLATES["defense"]]))
def test_defense_knows_clean_digits(entry: Path, batch: Batch) -> None:
    # Imported, not started: torch is loaded once for all of them. The next tests start some as the harness does.
    assert np.mean(labels_of(str(entry), batch.images) == batch.labels) >= 0.95


@pytest.mark.parametrize("name", ["undefended_byobnet", "ensemble_randomised", "guided_denoiser"])
def test_defense_once(name: str, batch: Batch, tmp_path: Path) -> None:
    start(ROOT / "defenses" / name, batch.folder, tmp_path / "result.csv")
    assert np.mean(read_labels(tmp_path / "result.csv") == batch.labels) >= 0.95


@pytest.mark.parametrize("entry", named([ROOT / "defenses" / "jpeg"]))
def test_served_with_files_or_an_array_is_the_same_as_once(entry: Path, batch: Batch, tmp_path: Path) -> None:
    start(entry, batch.folder, tmp_path / "once.csv")
    np.save(tmp_path / "batch.npy", batch.images)
    files = {"batch": "1", "input": str(batch.folder), "output": str(tmp_path / "files.csv"), "epsilon": None}
    array = files | {"output": str(tmp_path / "array.csv"), "array": str(tmp_path / "batch.npy"), "names": batch.names}
    said = start(entry, "serve", stdin=f"{json.dumps(files)}\n{json.dumps(array)}\n").splitlines()
    assert [json.loads(line) for line in said] == [
        {"ready": True, "arrays": True}, {"batch": "1", "done": True}, {"batch": "1", "done": True},
    ]  # fmt: skip
    once = (tmp_path / "once.csv").read_text()
    assert (tmp_path / "files.csv").read_text() == (tmp_path / "array.csv").read_text() == once


@pytest.mark.parametrize("track", ["attack", "targeted_attack"])
def test_attack_template_stays_within_epsilon(track: str, batch: Batch, tmp_path: Path) -> None:
    start(TEMPLATES[track], batch.folder, tmp_path, 16)
    made = np.stack([np.asarray(Image.open(tmp_path / name)) for name in batch.names]).astype(int)
    assert np.abs(made - batch.images).max() == 16


def test_plain_image_template_copies(batch: Batch, tmp_path: Path) -> None:
    script = ROOT / "templates" / "plain_image" / "attack.sh"
    subprocess.run([script, batch.folder, tmp_path, "16"], check=True, capture_output=True)
    assert {path.name for path in tmp_path.iterdir()} == set(batch.names)
    assert (tmp_path / "000.png").read_bytes() == (batch.folder / "000.png").read_bytes()


def test_the_table_of_results_names_every_defense() -> None:
    table = (ROOT / "training" / "RESULTS.md").read_text()
    assert [path.name for path in DEFENSES if f"| {path.name}" not in table] == []
    assert TOURNAMENT_IMAGES == 400
