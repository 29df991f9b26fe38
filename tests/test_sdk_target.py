"""What an attack is given of an opponent that it may read: ``whitebox.py``, imported from wherever it lies, and looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.sdk import Target, TargetError, target

from .test_sdk import Entry

#: Arrays stand for tensors: nothing here asks for more than a shape and a length.
PIXELS = np.full((2, 3, 4, 5), 0.5, np.float32)
GOOD = """
import numpy
class Net:
    def logits(self, pixels): return numpy.stack([pixels.mean((1, 2, 3)), 1 - pixels.mean((1, 2, 3))], 1)
    def predict(self, pixels): return self.logits(pixels).argmax(1)
def load(): return Net()
"""


def defense(folder: Path, text: str, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "whitebox.py").write_text(text)
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".py").write_text(content)
    return folder


def test_what_a_defense_need_not_say(tmp_path: Path) -> None:
    found = target(defense(tmp_path, GOOD))
    assert isinstance(found, Target)
    assert (found.label_offset, found.randomised) == (0, False)
    assert found.transform(PIXELS) is PIXELS
    assert found.logits(PIXELS).shape == (2, 2)
    labels = found.predict(PIXELS)
    assert labels.dtype == np.int64
    assert labels.tolist() == [0, 0]


def test_what_it_may_say(tmp_path: Path) -> None:
    found = target(defense(tmp_path, GOOD + """
Net.label_offset, Net.randomised = 1, True
Net.transform = lambda self, pixels: pixels * 0
"""))
    assert (found.label_offset, found.randomised) == (1, True)
    assert found.transform(PIXELS).max() == 0


REFUSED = {
    "no load": ("x = 1", "AttributeError: module 'whitebox' has no attribute 'load'"),
    "nothing": ("def load(): return None", "what its load() returns has no logits and no predict to call"),
    "no predict": ("class N:\n logits = print\nload = N", "what its load() returns has no predict to call"),
    "logits is a number": ("class N:\n logits = 1\n predict = print\nload = N", "has no logits to call"),
    "transform is a list": (GOOD + "Net.transform = []", "its transform cannot be called"),
    "an offset of a half": (GOOD + "Net.label_offset = .5", "its label_offset is no integer but float"),
    "a flag for an offset": (GOOD + "Net.label_offset = True", "its label_offset is no integer but bool"),
    "no such library": ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
    "weights that are not there": ("open('weights.pt')", "FileNotFoundError"),
    "not Python": ("def", "SyntaxError"),
    "leaves": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "load needs something": ("def load(x): pass", "TypeError"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_one_sentence_says_what_is_wrong(tmp_path: Path, row: str) -> None:
    text, said = REFUSED[row]
    before = list(sys.path), set(sys.modules), os.getcwd()
    with pytest.raises(TargetError) as refusal:
        target(defense(tmp_path, text))
    assert f"The whitebox.py in {tmp_path} cannot be used: " in str(refusal.value)
    assert said in str(refusal.value)
    assert ([*before[0], str(tmp_path)], before[2]) == (sys.path, os.getcwd())


def test_a_defense_that_does_not_say_how_it_is_attacked(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"There is no whitebox\.py in "):
        target(tmp_path)


WRONG = {
    "logits of other images": ("Net.logits = lambda self, pixels: numpy.zeros((1, 10))", "logits",
                               "The target's logits must have the shape (2, classes), not (1, 10)."),
    "logits without classes": ("Net.logits = lambda self, pixels: numpy.zeros(2)", "logits", "not (2,)."),
    "no logits": ("Net.logits = lambda self, pixels: None", "logits", "not NoneType."),
    "labels that are numbers": ("Net.predict = lambda self, pixels: numpy.zeros(2)", "predict",
                                "The target's predict must return integers of shape (2,), not float64 of shape (2,)."),
    "one label": ("Net.predict = lambda self, pixels: 3", "predict", "not int64 of shape ()."),
    "a smaller image": ("Net.transform = lambda self, pixels: pixels[..., 1:]", "transform",
                        "must return pixels of shape (2, 3, 4, 5), not float32 of shape (2, 3, 4, 4)."),
}


@pytest.mark.parametrize("row", WRONG)
def test_what_it_answers_is_looked_at(tmp_path: Path, row: str) -> None:
    text, method, said = WRONG[row]
    found = target(defense(tmp_path, GOOD + text))
    with pytest.raises(TargetError) as refusal:
        getattr(found, method)(PIXELS)
    assert said in str(refusal.value)


#: An opponent whose modules have the names of the attack's own, and which reads a file by a relative path.
NAMESAKES = {
    "model": "WHOSE = 'the opponent'",
    "parts__inner": "WHOSE = 'the opponent'",
    "later": "import model\nWHOSE = 'imported later'",
}
NAMESAKE = """
import numpy, model, parts.inner
assert model.WHOSE == parts.inner.WHOSE == 'the opponent'
OFFSET = int(open('offset.txt').read())
class Net:
    label_offset = OFFSET
    def logits(self, pixels): return numpy.zeros((len(pixels), 10))
    def predict(self, pixels):
        from later import WHOSE
        assert WHOSE == 'imported later'
        return numpy.full(len(pixels), OFFSET)
load = Net
"""
ATTACK = """
import numpy, os, model, parts.inner
from harness.sdk import RUN, within
def attack(images, *more):
    *targets, bound, target = more
    assert model.WHOSE == parts.inner.WHOSE == 'the attack'
    import model as again
    assert again.WHOSE == 'the attack' and os.path.exists('mine.txt')
    labels = target.predict(images.transpose(0, 3, 1, 2) / 255)
    step = targets[0] if targets else labels
    return within(images, images + step[:, None, None, None], bound)
RUN(attack, at_once=2)
"""


def entry_against(tmp_path: Path, run: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Entry, Path]:
    entry = Entry(tmp_path / "attack", "attack")
    entry.program.write_text(ATTACK.replace("RUN", run))
    (entry.folder / "model.py").write_text("WHOSE = 'the attack'")
    (entry.folder / "parts").mkdir()
    (entry.folder / "parts" / "inner.py").write_text("WHOSE = 'the attack'")
    (entry.folder / "mine.txt").touch()
    opponent = defense(tmp_path / "opponent", NAMESAKE, **NAMESAKES)
    (opponent / "offset.txt").write_text("5")
    monkeypatch.chdir(entry.folder)
    return entry, opponent


@pytest.fixture
def attack_folder(tmp_path: Path) -> Path:
    (tmp_path / "attack").mkdir()
    return tmp_path


@pytest.mark.parametrize(("run", "steps"), [("run_white_box_attack", [5] * 5), ("run_targeted_white_box_attack", [7, 3, 9, 1, 0])])
def test_an_attack_reads_its_opponent(attack_folder: Path, run: str, steps: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    entry, opponent = entry_against(attack_folder, run, monkeypatch)
    expected = entry.images + np.minimum(255 - entry.images, np.array(steps, np.uint8)[:, None, None, None])
    done = entry.once(entry.input, entry.output, 16, opponent)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(entry.made(), expected)
    request: dict[str, Any] = {"batch": "b", "input": str(entry.input), "output": str(entry.output), "epsilon": 16}
    answers = entry.serve(request | {"target": str(opponent)}, request | {"target": str(opponent), "batch": "c"}, request)
    assert answers[1:3] == [{"batch": "b", "done": True}, {"batch": "c", "done": True}]
    assert answers[3]["error"] == "ValueError: This attack needs its opponent's code, and the request names none."
    said = json.dumps(entry.serve(request | {"target": str(entry.folder)})[1])
    assert "TargetError: There is no whitebox.py in" in said


def test_without_a_target_it_shows_its_usage(attack_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, _ = entry_against(attack_folder, "run_white_box_attack", monkeypatch)
    done = entry.once(entry.input, entry.output, 16)
    assert done.returncode == 1
    assert "INPUT_DIR OUTPUT_DIR EPSILON TARGET_DIR" in done.stderr


def test_a_library_that_it_shares_its_name_with_stays_loaded(tmp_path: Path) -> None:
    """A directory of data called as a library is; numpy cannot be imported twice in one process."""
    folder = defense(tmp_path / "it", GOOD)
    (folder / "numpy").mkdir()
    code = f"import numpy; from harness.sdk import target; print(target({str(folder)!r}).randomised)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
