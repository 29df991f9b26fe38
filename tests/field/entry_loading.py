"""How the tests of the sample entries get at them: each entry's file as a module, digits, and the contract's facts."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from PIL import Image

from harness.dataset.digits import digits_split

SUBMISSIONS = Path(__file__).resolve().parents[2] / "submissions"


@functools.cache
def entry(path: str, file: str = "attack.py") -> ModuleType:
    """Import ``submissions/<path>/<file>`` as the entry itself would be."""
    directory = SUBMISSIONS / path
    sys.path.insert(0, str(directory))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a directory's content is the submission's identity
    try:
        spec = importlib.util.spec_from_file_location(path.replace("/", "_"), directory / file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
        sys.path.remove(str(directory))
        sys.modules.pop("model", None)  # that of a template, which is the template's alone
    return module


@functools.cache
def digits(count: int, start: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return held-out images, their labels, and targets that differ from them."""
    _, held_out = digits_split()
    part = slice(start, start + count)
    labels = held_out.labels[part]
    return held_out.images[part], labels, (labels + 1 + np.arange(count) % 9) % 10


def labels_of(path: str, images: np.ndarray) -> np.ndarray:
    """Return a defense's labels."""
    return entry(path, "defense.py").classify(images.copy())


def metadata(path: str) -> dict[str, Any]:
    """Return an entry's metadata."""
    return json.loads((SUBMISSIONS / path / "metadata.json").read_text())


def start(path: str, arguments: list[str], **options: Any) -> subprocess.Popen[str]:
    """Start an entry as the process sandbox would, with this interpreter's libraries."""
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [str(SUBMISSIONS / path / "run.sh"), *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def one_shot(path: str, tmp_path: Path, images: np.ndarray, targets: np.ndarray, epsilon: int) -> np.ndarray:
    """Run an attack entry once on PNG files and return what it left."""
    given, made = tmp_path / "given", tmp_path / "made"
    given.mkdir()
    made.mkdir()
    names = [f"{index:03d}.png" for index in range(len(images))]
    for name, pixels in zip(names, images, strict=True):
        Image.fromarray(pixels).save(given / name)
    if metadata(path)["type"] == "targeted_attack":
        (given / "target_class.csv").write_text("".join(f"{n},{t}\n" for n, t in zip(names, targets, strict=True)))
    program = start(path, [str(given), str(made), str(epsilon)])
    _, errors = program.communicate(timeout=400)
    assert program.returncode == 0, errors
    assert sorted(file.name for file in made.iterdir()) == names
    return np.stack([np.asarray(Image.open(made / name)) for name in names])


def served(path: str, tmp_path: Path, images: np.ndarray, targets: np.ndarray, epsilons: list[int]) -> list[np.ndarray]:
    """Serve one batch per epsilon with one program, pixels as an array, and return what it left."""
    names = [f"{index:03d}.png" for index in range(len(images))]
    array = tmp_path / "clean.npy"
    np.save(array, images)
    (tmp_path / "target_class.csv").write_text("".join(f"{n},{t}\n" for n, t in zip(names, targets, strict=True)))
    requests: list[dict[str, Any]] = []
    for index, epsilon in enumerate(epsilons):
        output = tmp_path / str(index)
        output.mkdir()
        requests.append({"batch": str(index), "input": str(tmp_path), "output": str(output), "epsilon": epsilon,
                         "array": str(array), "names": names})  # fmt: skip
    program = start(path, ["serve"], stdin=subprocess.PIPE)
    answers, errors = program.communicate("".join(json.dumps(request) + "\n" for request in requests), timeout=120)
    lines = [json.loads(line) for line in answers.splitlines()]
    assert lines[0]["ready"], errors
    assert lines[1:] == [{"batch": request["batch"], "done": True} for request in requests], errors
    return [np.load(Path(request["output"]) / "images.npy") for request in requests]
