"""What an author of a submission imports: one function in, a valid submission out.

``run_attack``, ``run_targeted_attack``, ``run_defense`` and ``run_detector`` read the inputs, call the author's
function and write the outputs, in both forms of the contract: one-shot (paths as arguments, one batch, exit) and served
(``./entry_point serve``, one JSON line per batch on stdin, one answer on stdout, the model loaded once). Load weights
before calling them, at import time of the entry: a served program then does it once.

``run_white_box_attack`` and ``run_targeted_white_box_attack`` are for attacks that may read the code of the defense that they are
up against, all of it or its base alone. They give the author's function a ``Target``: what ``target`` makes of the defense's own
``whitebox.py``, which says how its labels come about.

``run_query_attack`` and ``run_targeted_query_attack`` are for attacks that may ask the defense that they are up against. They
exist in the served form only, and give the author's function an ``Oracle``.

It needs numpy and Pillow only (a target brings what it needs), and never repairs what a function returns (a wrong shape or type is
an error with the reason): an entry that passes here passes without the harness's cutting. ``within`` is there for entries to call.
"""

from __future__ import annotations

import csv
import functools
import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
AttackFunction = Callable[[Pixels, int], Pixels]
TargetedAttackFunction = Callable[[Pixels, NDArray[np.int64], int], Pixels]
WhiteBoxAttackFunction = Callable[[Pixels, int, "Target"], Pixels]
TargetedWhiteBoxAttackFunction = Callable[[Pixels, NDArray[np.int64], int, "Target"], Pixels]
QueryAttackFunction = Callable[[Pixels, int, "Oracle"], Pixels]
TargetedQueryAttackFunction = Callable[[Pixels, NDArray[np.int64], int, "Oracle"], Pixels]
Labels = NDArray[np.integer[Any]]
DefenseFunction = Callable[[Pixels], Labels | tuple[Labels, NDArray[np.floating[Any]]]]
DetectorFunction = Callable[[Pixels], NDArray[np.floating[Any]]]

_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
_ARRAY_FILE = "images.npy"
_QUERY_FILES = ("queries.npy", "index.npy")
#: What ``Oracle`` answers for a row beyond the budget, for one that the defense refuses as adversarial, and for one that it
#: gave no label.
BEYOND_BUDGET, REJECTED, NO_LABEL = -2, -1, -32768


@dataclass(frozen=True)
class _Task:
    """One batch, as either form of the contract describes it.

    Attributes:
        input_dir: Where the images lie (and ``target_class.csv`` for a targeted attack).
        output: Directory for an attack, path of ``result.csv`` for a defense, of ``scores.csv`` for a detector.
        epsilon: The bound of the attack's threat, 0..255 for L-infinity; None for a defense or detector.
        array: Path of a ``.npy`` with the pixels, which then do not lie in ``input_dir`` as files.
        names: File names of the images; row i of the pixels is ``names[i]``.
        oracle: Of a query attack.
        target: Directory with the opponent's code, of a white-box or grey-box attack.
    """

    input_dir: Path
    output: Path
    epsilon: int | None
    array: Path | None
    names: Sequence[str]
    oracle: Oracle | None = None
    target: Path | None = None

    def pixels(self) -> Pixels:
        """Return uint8 [n, height, width, 3]."""
        if self.array is not None:
            return np.array(np.load(self.array, allow_pickle=False))
        return _stack([_read_image(self.input_dir / name) for name in self.names], self.input_dir)

    def targets(self) -> NDArray[np.int64]:
        """Return the target class of each image, int64 [n]."""
        with (self.input_dir / "target_class.csv").open(newline="") as file:
            by_stem = {_stem(row[0]): int(row[1]) for row in csv.reader(file) if len(row) > 1}
        return np.array([by_stem[_stem(name)] for name in self.names], dtype=np.int64)


class Oracle:
    """Answers of the defense that a query attack is up against, within the budget.

    ``oracle(images, index)`` takes uint8 [m, h, w, 3], any pixels of the batch's size and not only such within the bound, and
    integers [m] in 0..n-1: which image of the batch each row is a changed form of, and is charged to. (A row that lies nearest to
    another image, within the bound of that one or less than half as far from it as from its own, is charged to that one as well.)
    It returns int64 [m]:
    labels in the data set's own range; ``BEYOND_BUDGET`` (-2) where that image's queries are used up, which costs nothing and
    tells nothing; ``REJECTED`` (-1) where the defense calls the row adversarial; ``NO_LABEL`` (-32768) where it gave no label.

    Where the tournament answers scores too, it returns ``(labels, scores)``: float32 [m, classes], on the defense's own scale,
    column k for the k-th label of the data set; a row of NaN where the defense gives none. ``labels`` returns labels alone in any
    tournament.

    The tournament remembers for each image the first query within the bound that got each label, and the smallest change that
    did. So what was found counts even if the attack is killed later. Asking for the label of a clean image is a query like any
    other. The attack's clock stands still while the defense works.

    Attributes:
        budget: Queries for each image.
        classes: How many scores a row gets; 0 where the tournament answers labels alone.
    """

    def __init__(self, offer: dict[str, Any], task: _Task, requests: TextIO, answers: TextIO) -> None:
        self.budget, self.classes = int(offer["budget"]), int(offer.get("classes", 0))
        self._token, self._most = offer["token"], int(offer["rows"])
        self._output, self._requests, self._answers = task.output, requests, answers
        self._shape: tuple[int, ...] = ()
        self._count = 0

    def about(self, images: Pixels) -> Oracle:
        """Know the batch that is asked about; called by the SDK."""
        self._count, self._shape = len(images), images.shape[1:]
        return self

    def __call__(self, images: Pixels, index: NDArray[np.integer[Any]]) -> Any:  # noqa: ANN401 - labels, or those and scores
        """Ask; raises ``TypeError`` or ``ValueError`` where the arguments are not as described."""
        answers = self._answers_to(images, index)
        return (answers["label"], answers["scores"]) if self.classes else answers

    def labels(self, images: Pixels, index: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Ask for labels alone; a query all the same."""
        answers = self._answers_to(images, index)
        labels: NDArray[np.int64] = answers["label"] if self.classes else answers
        return labels

    def _answers_to(self, images: Pixels, index: NDArray[np.integer[Any]]) -> NDArray[Any]:
        index = np.asarray(index)
        if index.ndim != 1 or not (np.issubdtype(index.dtype, np.integer) or not len(index)):
            message = f"The oracle takes one integer for each row, not {_described(index)}."
            raise TypeError(message)
        images = _checked_rows(images, (len(index), *self._shape))
        if ((index < 0) | (index >= self._count)).any():
            message = f"The oracle takes indices from 0 to {self._count - 1}."
            raise ValueError(message)
        parts = [self._ask(images[part], index[part].astype(np.int64)) for part in _parts(len(index), self._most)]
        scores = [("label", np.int64), ("scores", np.float32, (self.classes,))]
        return np.concatenate([np.empty(0, scores if self.classes else np.int64), *parts])

    def _ask(self, images: Pixels, index: NDArray[np.int64]) -> NDArray[Any]:
        for name, array in zip(_QUERY_FILES, (images, index), strict=True):
            np.save(self._output / name, np.ascontiguousarray(array), allow_pickle=False)
        _answer(self._answers, {"query": self._token})
        line = self._requests.readline()
        if not line:
            message = "The tournament has gone."
            raise EOFError(message)
        reply = json.loads(line)
        self._token = reply["next"]
        answers: NDArray[Any] = np.load(reply["answers"], allow_pickle=False)
        return answers


class TargetError(Exception):
    """The opponent's ``whitebox.py`` cannot be used: the sentence says why."""


class Target:
    """The defense that a white-box or grey-box attack is up against, as its own author describes it. ``target`` makes one.

    Tensors are torch's: pixels are float32 [n, 3, h, w] in [0, 1], of the data set's size, RGB, with no other normalisation.

    Attributes:
        label_offset: Class k of the logits is label ``k + label_offset`` of the data set.
        randomised: Whether two calls may differ, so that a mean over several (EOT) is worth its time.
    """

    def __init__(self, made: Any) -> None:  # noqa: ANN401 - whatever the defense's author returned
        self._made = made
        absent = [name for name in ("logits", "predict") if not callable(getattr(made, name, None))]
        if absent:
            message = f"what its load() returns has no {' and no '.join(absent)} to call"
            raise TargetError(message)
        self._transform = getattr(made, "transform", None)
        if self._transform is not None and not callable(self._transform):
            message = "its transform cannot be called"
            raise TargetError(message)
        offset = getattr(made, "label_offset", 0)
        if isinstance(offset, bool) or not isinstance(offset, (int, np.integer)):
            message = f"its label_offset is no integer but {_described(offset)}"
            raise TargetError(message)
        self.label_offset, self.randomised = int(offset), bool(getattr(made, "randomised", False))

    def logits(self, pixels: Any) -> Any:  # noqa: ANN401 - torch's tensors, which this module does not import
        """Logits [n, classes] of pixels, differentiable where the defense is.

        Where it has a transform, of what that returned: ``logits(transform(pixels))``. The last column of a defense that rejects
        stands for "adversarial".
        """
        logits = self._made.logits(pixels)
        shape = tuple(getattr(logits, "shape", ()))
        if len(shape) != 2 or shape[0] != len(pixels):  # noqa: PLR2004 - images, classes
            message = f"The target's logits must have the shape ({len(pixels)}, classes), not {shape or _described(logits)}."
            raise TargetError(message)
        return logits

    def predict(self, pixels: Any) -> NDArray[np.int64]:  # noqa: ANN401
        """Labels of pixels, int64 [n], as the defense answers them: its transform included, ``REJECTED`` for "adversarial"."""
        labels = np.asarray(self._made.predict(pixels))
        if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (len(pixels),):
            message = f"The target's predict must return integers of shape ({len(pixels)},), not {_described(labels)}."
            raise TargetError(message)
        return labels.astype(np.int64)

    def transform(self, pixels: Any) -> Any:  # noqa: ANN401
        """What the defense does to pixels in front of the logits and gradients do not pass; the pixels, where it does nothing."""
        if self._transform is None:
            return pixels
        changed = self._transform(pixels)
        if tuple(getattr(changed, "shape", ())) != tuple(pixels.shape):
            message = f"The target's transform must return pixels of shape {tuple(pixels.shape)}, not {_described(changed)}."
            raise TargetError(message)
        return changed


def target(directory: str | Path) -> Target:
    """The defense whose code lies in a directory: what ``load()`` of its ``whitebox.py`` returns, looked at.

    It is imported as a program there would be: its own modules and files come first, also where the attack has some of the same
    names, and relative paths are below the directory until ``load`` has returned.

    Raises:
        TargetError: There is no such file, or it cannot be imported, or what it returns is not as ``Target`` describes.
    """
    folder = Path(directory).resolve()
    if not (folder / "whitebox.py").is_file():
        message = f"There is no whitebox.py in {directory}: this defense does not say how it is attacked."
        raise TargetError(message)
    try:
        with _at_home_in(folder):
            return Target(importlib.import_module("whitebox").load())
    except (Exception, SystemExit) as error:
        said = str(error) if isinstance(error, TargetError) else f"{type(error).__name__}: {error}"
        message = f"The whitebox.py in {directory} cannot be used: {said}."
        raise TargetError(message) from error


@contextmanager
def _at_home_in(folder: Path) -> Iterator[None]:
    """Import as a program in that directory would; modules that we have of the same names come back afterwards."""
    modules = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    folders = {path.name for path in folder.iterdir() if path.is_dir()}

    def is_theirs(name: str) -> bool:
        top = name.partition(".")[0]
        # A directory without __init__.py yields to a library of that name, as it does where they run.
        return top in modules or (top in folders and getattr(sys.modules.get(top), "__file__", None) is None)

    ours = {name: module for name, module in sys.modules.items() if is_theirs(name)}
    for name in ours:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        with chdir(folder):
            yield
    finally:
        sys.path.remove(str(folder))
        # What they import later, in the middle of a call, is still found.
        sys.path.append(str(folder))
        sys.modules.update(ours)


_Work = Callable[[_Task], None]
_once_loaded = functools.cache(target)


def run_attack(attack: AttackFunction, *, at_once: int | None = None) -> None:
    """Be an attack: ``./entry_point INPUT_DIR OUTPUT_DIR EPSILON``, or ``./entry_point serve``.

    Args:
        attack: ``(images uint8 [n, h, w, 3], epsilon) -> images`` of the same shape and type, each pixel within
            ``epsilon`` of the clean one; under another threat ``epsilon`` is its bound, as the harness gives it.
        at_once: Images per call, all by default. A smaller number bounds memory, and what is finished is already
            written when the time limit comes.
    """

    def work(task: _Task) -> None:
        images, epsilon = task.pixels(), _epsilon(task)
        _write_attack(task, images, at_once, lambda part: attack(images[part].copy(), epsilon))

    _main(work)


def run_targeted_attack(attack: TargetedAttackFunction, *, at_once: int | None = None) -> None:
    """Be a targeted attack; like ``run_attack``.

    Args:
        attack: ``(images uint8 [n, h, w, 3], targets int64 [n], epsilon) -> images``.
        at_once: As for ``run_attack``.
    """

    def work(task: _Task) -> None:
        images, targets, epsilon = task.pixels(), task.targets(), _epsilon(task)
        _write_attack(task, images, at_once, lambda part: attack(images[part].copy(), targets[part], epsilon))

    _main(work)


def run_white_box_attack(attack: WhiteBoxAttackFunction, *, at_once: int | None = None) -> None:
    """Be an attack that reads its opponent: ``./entry_point INPUT_DIR OUTPUT_DIR EPSILON TARGET_DIR``, or ``./entry_point serve``.

    Of access ``white_box`` and ``grey_box`` alike. The opponent is loaded once, at the first batch: only then it is known.

    Args:
        attack: ``(images uint8 [n, h, w, 3], bound, target) -> images`` of the same shape and type, within the bound. See
            ``Target``.
        at_once: As for ``run_attack``.
    """

    def work(task: _Task) -> None:
        images, bound, opponent = task.pixels(), _epsilon(task), _opponent(task)
        _write_attack(task, images, at_once, lambda part: attack(images[part].copy(), bound, opponent))

    _main(work, _READS)


def run_targeted_white_box_attack(attack: TargetedWhiteBoxAttackFunction, *, at_once: int | None = None) -> None:
    """Be a targeted attack that reads its opponent; like ``run_white_box_attack``.

    Args:
        attack: ``(images uint8 [n, h, w, 3], targets int64 [n], bound, target) -> images``.
        at_once: As for ``run_attack``.
    """

    def work(task: _Task) -> None:
        images, targets, bound, opponent = task.pixels(), task.targets(), _epsilon(task), _opponent(task)
        _write_attack(task, images, at_once, lambda part: attack(images[part].copy(), targets[part], bound, opponent))

    _main(work, _READS)


def run_query_attack(attack: QueryAttackFunction) -> None:
    """Be an attack that asks: ``./entry_point serve``.

    Args:
        attack: ``(images uint8 [n, h, w, 3], bound, oracle) -> images`` of the same shape and type, within the bound. See
            ``Oracle``. What it returns is looked at too, one query for each image that has one left.
    """

    def work(task: _Task) -> None:
        images, oracle, bound = task.pixels(), _oracle(task), _epsilon(task)
        _write_attack(task, images, None, lambda _: attack(images.copy(), bound, oracle.about(images)))

    _main(work, asks=True)


def run_targeted_query_attack(attack: TargetedQueryAttackFunction) -> None:
    """Be a targeted attack that asks; like ``run_query_attack``.

    Args:
        attack: ``(images uint8 [n, h, w, 3], targets int64 [n], bound, oracle) -> images``.
    """

    def work(task: _Task) -> None:
        images, targets, oracle, bound = task.pixels(), task.targets(), _oracle(task), _epsilon(task)
        _write_attack(task, images, None, lambda _: attack(images.copy(), targets, bound, oracle.about(images)))

    _main(work, asks=True)


def run_defense(defense: DefenseFunction, *, at_once: int | None = None) -> None:
    """Be a defense: ``./entry_point INPUT_DIR RESULT_CSV``, or ``./entry_point serve``.

    Args:
        defense: ``(images uint8 [n, h, w, 3]) -> labels``, integers [n] in the data set's own label range; or ``(labels, scores)``
            with finite numbers [n, classes] on any scale, column k for the k-th label of the data set. Scores are for query
            attacks, in tournaments that answer those; nothing else is made of them.
        at_once: As for ``run_attack``.
    """

    def work(task: _Task) -> None:
        _write_answers(task, at_once, lambda images: _label_columns(defense(images), len(images)))

    _main(work, "INPUT_DIR RESULT_CSV")


def run_detector(detector: DetectorFunction, *, at_once: int | None = None) -> None:
    """Be a detector: ``./entry_point INPUT_DIR SCORES_CSV``, or ``./entry_point serve``.

    A batch holds clean and adversarial images in a random order; how many there are of each, nobody says.

    Args:
        detector: ``(images uint8 [n, h, w, 3]) -> scores``, finite numbers [n] on any scale: the higher, the more likely the
            image is adversarial. They are kept as float32.
        at_once: As for ``run_attack``.
    """

    def work(task: _Task) -> None:
        _write_answers(task, at_once, lambda images: _checked_scores(detector(images), len(images))[:, None].tolist())

    _main(work, "INPUT_DIR SCORES_CSV")


def within(images: Pixels, adversarial: NDArray[Any], epsilon: int) -> Pixels:
    """Round to whole pixel values and cut to the allowed box, in integers.

    Rounding, not truncating: a saver that truncates loses up to one level, at small epsilon most of the attack.

    Args:
        images: The clean images, uint8.
        adversarial: Pixel values 0..255 of any number type, same shape.
        epsilon: L-infinity bound in 0..255.
    """
    clean = images.astype(np.int16)
    rounded = np.rint(np.nan_to_num(adversarial, nan=0.0)).clip(0, 255).astype(np.int16)
    cut: Pixels = rounded.clip(np.maximum(clean - epsilon, 0), np.minimum(clean + epsilon, 255)).astype(np.uint8)
    return cut


_READS = "INPUT_DIR OUTPUT_DIR EPSILON TARGET_DIR"


def _main(work: _Work, usage: str = "INPUT_DIR OUTPUT_DIR EPSILON", *, asks: bool = False) -> None:
    arguments = sys.argv[1:]
    if arguments == ["serve"]:
        _serve(work)
        return
    if asks:
        sys.exit(f"usage: {sys.argv[0]} serve\n(an attack that asks needs somebody who answers)")
    if len(arguments) != len(usage.split()):
        sys.exit(f"usage: {sys.argv[0]} {usage}\n   or: {sys.argv[0]} serve")
    input_dir = Path(arguments[0])
    names = sorted(entry.name for entry in input_dir.iterdir() if entry.suffix.lower() in _IMAGE_SUFFIXES)
    given = dict(zip(usage.split(), arguments, strict=True))
    epsilon = int(given["EPSILON"]) if "EPSILON" in given else None
    opponent = Path(given["TARGET_DIR"]) if "TARGET_DIR" in given else None
    work(_Task(input_dir, Path(arguments[1]), epsilon, None, names, target=opponent))


def _serve(work: _Work) -> None:
    """Answer one line per batch until stdin ends.

    The protocol keeps its own copies of stdin and stdout; file descriptors 0 and 1 are given away, so that neither the
    entry's prints nor those of a C library can be taken for an answer, and nothing can eat a request.
    """
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    _answer(answers, {"ready": True, "arrays": True})
    for line in requests:
        request = json.loads(line)
        try:
            work(_task(request, requests, answers))
        except Exception as error:  # noqa: BLE001 - the border of the author's code: the harness decides what follows
            traceback.print_exc()
            _answer(answers, {"batch": request["batch"], "error": f"{type(error).__name__}: {error}"})
        else:
            _answer(answers, {"batch": request["batch"], "done": True})


def _task(request: dict[str, Any], requests: TextIO, answers: TextIO) -> _Task:
    task, shown = _plain_task(request), request.get("target")
    if shown is not None:
        task = replace(task, target=Path(shown))
    offer = request.get("query")
    return task if offer is None else replace(task, oracle=Oracle(offer, task, requests, answers))


def _plain_task(request: dict[str, Any]) -> _Task:
    input_dir, array = Path(request["input"]), request.get("array")
    if array is None:
        names = sorted(entry.name for entry in input_dir.iterdir() if entry.suffix.lower() in _IMAGE_SUFFIXES)
        return _Task(input_dir, Path(request["output"]), request.get("epsilon"), None, names)
    return _Task(input_dir, Path(request["output"]), request.get("epsilon"), Path(array), request["names"])


def _answer(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _write_attack(task: _Task, images: Pixels, at_once: int | None, attack: Callable[[slice], Pixels]) -> None:
    whole = np.empty_like(images) if task.array is not None else None
    for part in _parts(len(images), at_once):
        made = _checked_pixels(attack(part), images[part].shape)
        if whole is not None:
            whole[part] = made
            continue
        for name, pixels in zip(task.names[part], made, strict=True):
            _write_png(task.output / name, pixels)
    if whole is not None:
        unfinished = task.output / f"{_ARRAY_FILE}.part"
        with unfinished.open("wb") as file:
            np.save(file, whole, allow_pickle=False)
        unfinished.rename(task.output / _ARRAY_FILE)


def _write_answers(task: _Task, at_once: int | None, answer: Callable[[Pixels], list[list[float]]]) -> None:
    """One row per image with its columns, each part written as soon as it is answered."""
    images = task.pixels()
    with task.output.open("w", newline="") as file:
        for part in _parts(len(images), at_once):
            rows = zip(task.names[part], answer(images[part].copy()), strict=True)
            file.writelines(f"{name},{','.join(map(repr, columns))}\n" for name, columns in rows)
            file.flush()


def _write_png(path: Path, pixels: Pixels) -> None:
    # Always PNG, whatever the input's name says: JPEG would add its own noise. Uncompressed: half the time of level 1.
    Image.fromarray(pixels).save(path, format="PNG", compress_level=0)


def _read_image(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _stack(images: list[Pixels], where: Path) -> Pixels:
    if not images:
        message = f"{where} holds no images."
        raise ValueError(message)
    return np.stack(images)


def _parts(count: int, at_once: int | None) -> Iterator[slice]:
    step = at_once or count
    return (slice(start, start + step) for start in range(0, count, step))


def _checked_pixels(made: Any, shape: tuple[int, ...]) -> Pixels:  # noqa: ANN401 - whatever the author's code returned
    if not isinstance(made, np.ndarray) or made.dtype != np.uint8 or made.shape != shape:
        message = f"The attack must return a uint8 array of shape {shape}, not {_described(made)}."
        raise TypeError(message)
    return made


def _checked_rows(rows: Any, shape: tuple[int, ...]) -> Pixels:  # noqa: ANN401 - whatever the author's code made
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape != shape:
        message = f"The oracle takes a uint8 array of shape {shape}, not {_described(rows)}."
        raise TypeError(message)
    return rows


def _label_columns(answered: Any, count: int) -> list[list[float]]:  # noqa: ANN401 - whatever the author's code returned
    labels, *more = answered if isinstance(answered, tuple) else (answered,)
    columns = [[label] for label in _checked_labels(labels, count).tolist()]
    for scores in more:
        array = np.asarray(scores)
        if array.shape[:1] != (count,) or array.ndim != 2 or array.dtype.kind not in "fiu":  # noqa: PLR2004 - images, classes
            message = f"The defense's scores must be numbers of shape ({count}, classes), not {_described(array)}."
            raise TypeError(message)
        if not np.isfinite(array).all():
            message = "The defense's scores must be finite."
            raise ValueError(message)
        columns = [[*left, *right] for left, right in zip(columns, array.astype(np.float64).tolist(), strict=True)]
    return columns


def _checked_labels(labels: Any, count: int) -> NDArray[np.int64]:  # noqa: ANN401 - whatever the author's code returned
    array = np.asarray(labels)
    if not np.issubdtype(array.dtype, np.integer) or array.shape != (count,):
        message = f"The defense must return integers of shape ({count},), not {_described(array)}."
        raise TypeError(message)
    return array.astype(np.int64)


def _checked_scores(scores: Any, count: int) -> NDArray[np.float64]:  # noqa: ANN401 - whatever the author's code returned
    array = np.asarray(scores)
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)) or array.shape != (count,):
        message = f"The detector must return numbers of shape ({count},), not {_described(array)}."
        raise TypeError(message)
    if not np.isfinite(array).all():
        message = f"The detector must return finite scores: {int((~np.isfinite(array)).sum())} of {count} are not."
        raise ValueError(message)
    return array.astype(np.float64)


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


def _epsilon(task: _Task) -> int:
    if task.epsilon is None:
        message = "An attack needs an epsilon, and the request names none."
        raise ValueError(message)
    return task.epsilon


def _oracle(task: _Task) -> Oracle:
    if task.oracle is None:
        message = "This attack needs an oracle, and the request offers none."
        raise ValueError(message)
    return task.oracle


def _opponent(task: _Task) -> Target:
    if task.target is None:
        message = "This attack needs its opponent's code, and the request names none."
        raise ValueError(message)
    return _once_loaded(task.target)


def _stem(name: str) -> str:
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in _IMAGE_SUFFIXES else name
