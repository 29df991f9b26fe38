"""The SDK as authors use it: real programs, started as the harness starts them, one-shot and served."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.formats.result_csv import read_class_scores, read_labels
from harness.sdk import within

PROGRAMS = {
    "attack": """
import os
from harness.sdk import run_attack
print("loading")
def attack(images, epsilon):
    print("prints are talk, not answers")
    os.system("echo so are those of other programs")
    assert epsilon != 13, "unlucky"
    return images + (images < 255 - epsilon) * images.dtype.type(epsilon)
run_attack(attack, at_once=AT_ONCE)
""",
    "targeted": """
from harness.sdk import run_targeted_attack
def attack(images, targets, epsilon):
    return (images * 0 + targets[:, None, None, None]).astype("uint8")
run_targeted_attack(attack, at_once=AT_ONCE)
""",
    "defense": """
from harness.sdk import run_defense
run_defense(lambda images: images[:, 0, 0, 0].astype(int), at_once=AT_ONCE)
""",
    "defense with scores": """
from harness.sdk import run_defense
run_defense(lambda images: (images[:, 0, 0, 0].astype(int), images[:, 0, 0, :2] / 3), at_once=AT_ONCE)
""",
    "defense with too few scores": """
from harness.sdk import run_defense
run_defense(lambda images: (images[:, 0, 0, 0].astype(int), images[1:, 0, 0, :2] / 3))
""",
    "query attack": """
from harness.sdk import run_query_attack
run_query_attack(lambda images, bound, oracle: images)
""",
    "float attack": """
from harness.sdk import run_attack
run_attack(lambda images, epsilon: images / 255)
""",
    "short attack": """
from harness.sdk import run_attack
run_attack(lambda images, epsilon: images[:-1])
""",
    "float defense": """
from harness.sdk import run_defense
run_defense(lambda images: images[:, 0, 0, 0] / 2)
""",
}


class Entry:
    """A program of the table as a file, and a batch of five images that lie in ``in``."""

    def __init__(self, folder: Path, name: str, at_once: int | None = None) -> None:
        self.folder = folder
        self.program = folder / "entry.py"
        self.program.write_text(PROGRAMS[name].replace("AT_ONCE", str(at_once)))
        self.images = np.random.default_rng(1).integers(0, 256, (5, 4, 6, 3), np.uint8)
        self.names = [f"{index}.png" for index in range(5)]
        self.targets = [7, 3, 9, 1, 0]
        self.input, self.output = folder / "in", folder / "out"
        self.input.mkdir()
        self.output.mkdir()
        for file, image in zip(self.names, self.images, strict=True):
            Image.fromarray(image).save(self.input / file)
        rows = [f"{file},{target}\n" for file, target in zip(self.names, self.targets, strict=True)]
        (self.input / "target_class.csv").write_text("".join(reversed(rows)))

    def once(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(self.program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def serve(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        command = [sys.executable, str(self.program), "serve"]
        done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def made(self) -> np.ndarray:
        return np.stack([np.asarray(Image.open(self.output / name)) for name in self.names])


@pytest.mark.parametrize("at_once", [None, 1, 2, 100])
def test_attack_once(tmp_path: Path, at_once: int | None) -> None:
    entry = Entry(tmp_path, "attack", at_once)
    assert entry.once(entry.input, entry.output, 16).returncode == 0
    assert np.array_equal(entry.made(), entry.images + (entry.images < 239) * np.uint8(16))


def test_targets_follow_names_not_lines(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "targeted")
    assert entry.once(entry.input, entry.output, 16).returncode == 0
    assert entry.made()[:, 0, 0, 0].tolist() == entry.targets


@pytest.mark.parametrize("at_once", [None, 2])
def test_defense_once(tmp_path: Path, at_once: int | None) -> None:
    entry = Entry(tmp_path, "defense", at_once)
    result = entry.output / "result.csv"
    assert entry.once(entry.input, result).returncode == 0
    labels = entry.images[:, 0, 0, 0]
    assert result.read_text() == "".join(f"{n},{label}\n" for n, label in zip(entry.names, labels, strict=True))


def test_images_of_other_modes_and_extra_files(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "defense")
    Image.fromarray(entry.images[0]).convert("P").convert("L").save(entry.input / "0.png")
    (entry.input / "notes.txt").write_text("not an image")
    result = entry.output / "result.csv"
    assert entry.once(entry.input, result).returncode == 0
    assert len(result.read_text().splitlines()) == 5


@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("at_once", [None, 2])
def test_attack_serves_batches_one_after_another(tmp_path: Path, arrays: bool, at_once: int | None) -> None:
    entry = Entry(tmp_path, "attack", at_once)
    requests = []
    for number, epsilon in enumerate((16, 13, 32)):
        output = tmp_path / f"out{number}"
        output.mkdir()
        request = {"batch": f"b{number}", "input": str(entry.input), "output": str(output), "epsilon": epsilon}
        if arrays:
            np.save(tmp_path / "batch.npy", entry.images)
            request |= {"array": str(tmp_path / "batch.npy"), "names": entry.names, "input": str(tmp_path / "nothing")}
        requests.append(request)
    ready, *answers = entry.serve(*requests)
    assert ready == {"ready": True, "arrays": True}
    error = answers[1].pop("error")
    assert error == "AssertionError: unlucky"
    assert answers == [{"batch": "b0", "done": True}, {"batch": "b1"}, {"batch": "b2", "done": True}]
    for number, epsilon in ((0, 16), (2, 32)):
        entry.output = tmp_path / f"out{number}"
        made = np.load(entry.output / "images.npy") if arrays else entry.made()
        assert np.array_equal(made, entry.images + (entry.images < 255 - epsilon) * np.uint8(epsilon))
        assert len(list(entry.output.iterdir())) == (1 if arrays else 5)


@pytest.mark.parametrize("suffix", ["", ".png"])
def test_targeted_attack_served_with_an_array_still_reads_its_targets(tmp_path: Path, suffix: str) -> None:
    entry = Entry(tmp_path, "targeted")
    np.save(tmp_path / "batch.npy", entry.images)
    names = [name.removesuffix(".png") + suffix for name in entry.names]
    request = {
        "batch": 1, "input": str(entry.input), "output": str(entry.output), "epsilon": 16,
        "array": str(tmp_path / "batch.npy"), "names": names,
    }  # fmt: skip
    assert entry.serve(request)[1] == {"batch": 1, "done": True}
    assert np.load(entry.output / "images.npy")[:, 0, 0, 0].tolist() == entry.targets


def test_defense_served(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "defense")
    result = entry.output / "result.csv"
    request = {"batch": 1, "input": str(entry.input), "output": str(result), "epsilon": None}
    assert entry.serve(request)[1] == {"batch": 1, "done": True}
    assert result.read_text().splitlines()[0] == f"0.png,{entry.images[0, 0, 0, 0]}"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("float attack", "must return a uint8 array of shape (5, 4, 6, 3), not float64 of shape (5, 4, 6, 3)"),
        ("short attack", "not uint8 of shape (4, 4, 6, 3)"),
    ],
)
def test_a_wrong_return_value_is_said_and_nothing_is_written(tmp_path: Path, program: str, said: str) -> None:
    entry = Entry(tmp_path, program)
    done = entry.once(entry.input, entry.output, 16)
    assert done.returncode == 1
    assert said in done.stderr
    assert not list(entry.output.iterdir())


def test_labels_must_be_integers(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "float defense")
    done = entry.once(entry.input, entry.output / "result.csv")
    assert "must return integers of shape (5,)" in done.stderr


@pytest.mark.parametrize("at_once", [None, 2])
def test_scores_stand_behind_the_label(tmp_path: Path, at_once: int | None) -> None:
    entry = Entry(tmp_path, "defense with scores", at_once)
    assert entry.once(entry.input, entry.output / "result.csv").returncode == 0
    scores = read_class_scores((entry.output / "result.csv").read_bytes(), entry.names, 2)
    assert np.array_equal(scores, (entry.images[:, 0, 0, :2] / 3).astype(np.float32))
    read = read_labels((entry.output / "result.csv").read_bytes(), entry.names)
    assert (read.answers.values.tolist(), read.notes) == (entry.images[:, 0, 0, 0].tolist(), [])


def test_scores_are_looked_at(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "defense with too few scores")
    done = entry.once(entry.input, entry.output / "result.csv")
    assert "must be numbers of shape (5, classes), not float64 of shape (4, 2)" in done.stderr


def test_an_attack_that_asks_is_served_only_and_with_somebody_to_ask(tmp_path: Path) -> None:
    entry = Entry(tmp_path, "query attack")
    done = entry.once(entry.input, entry.output, 16)
    assert done.returncode == 1
    assert "usage: " in done.stderr
    assert "needs somebody who answers" in done.stderr
    request = {"batch": "b", "input": str(entry.input), "output": str(entry.output), "epsilon": 16}
    said = "ValueError: This attack needs an oracle, and the request offers none."
    assert entry.serve(request)[1] == {"batch": "b", "error": said}


@pytest.mark.parametrize("arguments", [[], ["only one"], ["a", "b", "16", "more"]])
def test_wrong_arguments_show_the_usage(tmp_path: Path, arguments: list[str]) -> None:
    done = Entry(tmp_path, "attack").once(*arguments)
    assert done.returncode == 1
    assert "INPUT_DIR OUTPUT_DIR EPSILON" in done.stderr


def test_within_rounds_and_cuts() -> None:
    images = np.array([0, 10, 250, 100, 100], np.uint8)
    wished = np.array([-5.0, 10.6, 300.0, 150.0, np.nan])
    assert within(images, wished, 8).tolist() == [0, 11, 255, 108, 92]


def test_needs_numpy_and_pillow_only() -> None:
    code = "import sys; import harness.sdk; print({m.split('.')[0] for m in sys.modules} - sys.stdlib_module_names)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pydantic", "sqlalchemy", "docker", "yaml", "rich"} & set(eval(done.stdout))
