"""TensorFlow 1 on TensorFlow 2: its names on ``tensorflow`` itself, graphs instead of eager tensors, flags and files as then.

``tf.contrib`` is in ``tensorflow_contrib``. What is put back are names of what TensorFlow 2 still holds.
"""

# ruff: noqa: ANN401 - the repaired functions take anything

from __future__ import annotations

import functools
import importlib
import logging
import os
import sys
from types import ModuleType
from typing import Any

from . import tensorflow_contrib

# Read when tensorflow is imported: Keras 2, as Keras 3 has no graphs, and no lines about processors in every log.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class _Lazy(ModuleType):
    """A module that is imported when it is first asked for something."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__dict__["__path__"] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def _names(tensorflow: ModuleType) -> None:
    v1 = importlib.import_module("tensorflow.compat.v1")
    for name in dir(v1):
        if not name.startswith("_") and name not in {"compat", "keras", "layers", "estimator"}:
            setattr(tensorflow, name, getattr(v1, name))
    for name in ("keras", "layers"):
        # Found when they are used: Keras takes a second to import.
        tensorflow.__dict__[name] = v1.__dict__.get(name) or getattr(v1, name)
    tensorflow.__dict__["contrib"] = _Lazy("tensorflow.contrib")


def _files(tensorflow: ModuleType) -> None:
    """A file opened without a "b" gives bytes from the first piece on that is no text: PNG files were opened so."""
    kind = importlib.import_module("tensorflow.python.lib.io.file_io").FileIO
    own = kind._prepare_value  # noqa: SLF001

    @functools.wraps(own)
    def prepare(self: Any, value: Any) -> Any:
        try:
            return own(self, value)
        except UnicodeDecodeError:
            self._binary_mode = True
            return own(self, value)

    kind._prepare_value = prepare  # noqa: SLF001
    del tensorflow


def _flags(tensorflow: ModuleType) -> None:
    """Flags are parsed when the first is read, unknown ones are ignored, and a program may take absl's own names."""
    flags = tensorflow.app.flags
    values = flags.FLAGS
    wrapped = values.__dict__["__wrapped"]

    def parse() -> None:
        if not wrapped.is_parsed():
            wrapped(sys.argv, known_only=True)

    def read(self: Any, name: str) -> Any:
        del self
        if name == "_parse_flags":
            return parse
        parse()
        return getattr(wrapped, name)

    type(values).__getattr__ = read
    for name in [name for name in dir(flags) if name.startswith("DEFINE")]:
        own = getattr(flags, name)

        def define(flag: Any, *args: Any, _own: Any = own, **options: Any) -> Any:
            flag = options.pop("flag_name", flag)
            if flag in wrapped and (wrapped.find_module_defining_flag(flag) or "").startswith("absl"):
                delattr(wrapped, flag)
            # Where one is defined when others were read already, it has a value at once, as argparse's had.
            done = wrapped.is_parsed()
            made = _own(flag, *args, **options)
            wrapped[flag]._update_logging_levels = lambda: None  # noqa: SLF001 - absl's logging asks this of whatever is "verbosity"
            if done:
                wrapped(sys.argv, known_only=True)
            return made

        setattr(flags, name, functools.wraps(own)(define))


def patch(tensorflow: ModuleType) -> None:
    """Turn a TensorFlow 2 that was just imported into what a program of 2017 expects."""
    if tensorflow.__version__.startswith(("0.", "1.")):
        return
    layers = importlib.import_module("tf_keras.src.legacy_tf_layers")
    sys.modules.setdefault("tf_keras.legacy_tf_layers", layers)
    for name in ("base", "convolutional", "core", "normalization", "pooling"):
        module = importlib.import_module(f"{layers.__name__}.{name}")
        sys.modules.setdefault(f"tf_keras.legacy_tf_layers.{name}", module)
    # A log's last lines are what an author sees of it: they are the program's, not advice to move on.
    importlib.import_module("tensorflow.python.util.deprecation")._PRINT_DEPRECATION_WARNINGS = False  # noqa: SLF001
    logging.getLogger("tensorflow").propagate = False  # it has a handler, and app.run installs another one
    importlib.import_module("tensorflow.compat.v1").disable_v2_behavior()
    _names(tensorflow)
    _files(tensorflow)
    _flags(tensorflow)
    tensorflow_contrib.install()
