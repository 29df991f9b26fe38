"""``tf.contrib``, gone since TensorFlow 2: slim and what it was made of, Keras, and the rest that entries used.

Found by a finder of its own, part by part, when it is imported or first used. What is not here is an ImportError that says so.
"""

# ruff: noqa: ANN401 - the old functions took anything
# ruff: noqa: PLC0415 - whatever is imported here, the program waits for

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

ROOT = "tensorflow.contrib"
#: Old module -> the module that is it today; what lies below the one lies below the other.
ALIASES = {
    f"{ROOT}.keras": "tf_keras.api._v1.keras",
    f"{ROOT}.keras.api.keras": "tf_keras.api._v1.keras",
    f"{ROOT}.keras.python.keras": "tf_keras.api._v1.keras",
    f"{ROOT}.slim.nets": "tf_slim.nets",
    f"{ROOT}.slim.python.slim": "tf_slim",
    f"{ROOT}.layers.python.layers": "tf_slim.layers",
    f"{ROOT}.framework.python.ops.arg_scope": "tf_slim.ops.arg_scope",
    f"{ROOT}.framework.python.ops.variables": "tf_slim.ops.variables",
    f"{ROOT}.losses": "tf_slim.losses",
    f"{ROOT}.metrics": "tf_slim.metrics",
    f"{ROOT}.training": "tf_slim.training",
    # With the calls for graphs and sessions.
    "keras": "tf_keras.api._v1.keras",
    "keras.engine": "tf_keras.src.engine",
    "keras.utils.np_utils": "tf_keras.src.utils.np_utils",
} | {
    f"keras.layers.{part}": "tf_keras.api._v1.keras.layers"
    for part in ("core", "convolutional", "pooling", "normalization", "merge", "advanced_activations", "recurrent", "noise")
}
#: Modules that are made here.
MADE = ("", "slim", "slim.python", "layers", "layers.python", "framework", "framework.python", "framework.python.ops", "image",
        "distributions")  # fmt: skip


class _Loader(importlib.abc.Loader):
    """Hands over a module that exists or is made, as it is."""

    def __init__(self, target: str | None) -> None:
        self._target = target

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module itself, not a copy."""
        if self._target:
            module = importlib.import_module(self._target)
            self._spec = module.__spec__
            return module
        return _made(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """It has run already, under its own name."""
        if self._target:
            module.__spec__ = self._spec


class _Part(ModuleType):
    """A made package: its parts are imported when they are first used."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system sets a submodule on its package: the function of the same name stays.
        if not (isinstance(value, ModuleType) and name in self.__dict__):
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return importlib.import_module(f"{self.__name__}.{name}")
        except ModuleNotFoundError as error:
            raise AttributeError(str(error)) from error


class Finder(importlib.abc.MetaPathFinder):
    """Answers for ``tensorflow.contrib`` and ``keras``."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002 - the protocol's
    ) -> importlib.machinery.ModuleSpec | None:
        """What is made or stands for it; nothing of contrib is looked for elsewhere."""
        if fullname.partition(".")[0] != "keras" and not f"{fullname}.".startswith(f"{ROOT}."):
            return None
        old = max((old for old in ALIASES if f"{fullname}.".startswith(f"{old}.")), key=len, default="")
        if fullname.removeprefix(ROOT).removeprefix(".") in MADE and fullname not in ALIASES:
            return importlib.machinery.ModuleSpec(fullname, _Loader(None), is_package=True)
        if not old:
            message = f"{fullname} of TensorFlow 1 is not in this image (see docker/compat-tf/README.md)"
            raise ModuleNotFoundError(message, name=fullname)
        return importlib.machinery.ModuleSpec(fullname, _Loader(ALIASES[old] + fullname.removeprefix(old)), is_package=True)


def _made(name: str) -> ModuleType:
    module = _Part(name)
    module.__path__ = []
    fills = {"slim": _slim, "layers": _layers, "framework": _framework, "framework.python.ops": _framework, "image": _image,
             "distributions": _distributions}  # fmt: skip
    fill = fills.get(name.removeprefix(ROOT).removeprefix("."))
    if fill:
        fill(module)
    return module


def _take(module: ModuleType, *sources: ModuleType) -> None:
    for source in sources:
        for name, value in vars(source).items():
            if not name.startswith("_"):
                module.__dict__.setdefault(name, value)


def _slim(module: ModuleType) -> None:
    import tf_slim

    _take(module, tf_slim)


def _layers(module: ModuleType) -> None:
    # Not ``from tf_slim import layers``: there this is the name of a module below it.
    _take(module, importlib.import_module("tf_slim.layers"))


def _framework(module: ModuleType) -> None:
    import tensorflow as tf
    from tf_slim.ops import arg_scope, framework_ops, variables

    _take(module, arg_scope, framework_ops, variables)
    module.arg_scope = arg_scope.arg_scope
    module.get_or_create_global_step = tf.train.get_or_create_global_step
    module.get_global_step = tf.train.get_global_step
    module.create_global_step = tf.train.create_global_step
    module.assert_global_step = tf.train.assert_global_step
    module.load_variable = tf.train.load_variable
    module.list_variables = tf.train.list_variables
    module.load_checkpoint = tf.train.load_checkpoint
    module.init_from_checkpoint = tf.train.init_from_checkpoint
    module.nest = tf.nest


def _distributions(module: ModuleType) -> None:
    import tensorflow as tf

    _take(module, tf.distributions)


def _image(module: ModuleType) -> None:
    import tensorflow as tf

    def project(images: Any, transforms: Any, shape: Any, interpolation: str) -> Any:
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images, transforms=transforms, output_shape=shape, interpolation=interpolation, fill_value=0.0
        )

    def transform(images: Any, transforms: Any, interpolation: str = "NEAREST", name: str | None = None) -> Any:
        """Each output pixel (x, y) is the input's at the place that its eight numbers say; black outside."""
        with tf.name_scope(name, "transform"):
            given = tf.convert_to_tensor(images)
            numbers = tf.convert_to_tensor(transforms, tf.float32)
            numbers = numbers[None] if numbers.shape.ndims == 1 else numbers
            rank = given.shape.ndims
            batch = {2: lambda: given[None, :, :, None], 3: lambda: given[None], 4: lambda: given}[rank]()
            made = project(batch, numbers, tf.shape(batch)[1:3], interpolation)
            made.set_shape(batch.shape)
            return {2: lambda: made[0, :, :, 0], 3: lambda: made[0], 4: lambda: made}[rank]()

    def angles_to_projective_transforms(angles: Any, image_height: Any, image_width: Any, name: str | None = None) -> Any:
        """The numbers that turn an image counterclockwise about its middle, radians."""
        with tf.name_scope(name, "angles_to_projective_transforms"):
            angle = tf.convert_to_tensor(angles, tf.float32)
            angle = angle[None] if angle.shape.ndims == 0 else angle
            wide, high = tf.cast(image_width, tf.float32) - 1, tf.cast(image_height, tf.float32) - 1
            cos, sin = tf.cos(angle), tf.sin(angle)
            right = (wide - (cos * wide - sin * high)) / 2
            down = (high - (sin * wide + cos * high)) / 2
            none = tf.zeros_like(angle)
            return tf.stack([cos, -sin, right, sin, cos, down, none, none], 1)

    def rotate(images: Any, angles: Any, interpolation: str = "NEAREST", name: str | None = None) -> Any:
        """Turn images counterclockwise by radians."""
        given = tf.convert_to_tensor(images)
        middle = {2: slice(0, 2), 3: slice(0, 2), 4: slice(1, 3)}[given.shape.ndims]
        high, wide = tf.unstack(tf.shape(given)[middle])
        return transform(given, angles_to_projective_transforms(angles, high, wide), interpolation, name)

    def translations_to_projective_transforms(translations: Any, name: str | None = None) -> Any:
        with tf.name_scope(name, "translations_to_projective_transforms"):
            moved = tf.convert_to_tensor(translations, tf.float32)
            moved = moved[None] if moved.shape.ndims == 1 else moved
            one, none = tf.ones_like(moved[:, 0]), tf.zeros_like(moved[:, 0])
            return tf.stack([one, none, -moved[:, 0], none, one, -moved[:, 1], none, none], 1)

    def translate(images: Any, translations: Any, interpolation: str = "NEAREST", name: str | None = None) -> Any:
        """Move images by (right, down) pixels."""
        return transform(images, translations_to_projective_transforms(translations), interpolation, name)

    for function in (transform, angles_to_projective_transforms, rotate, translations_to_projective_transforms, translate):
        setattr(module, function.__name__, function)


def install() -> None:
    """Take ``tensorflow.contrib`` and ``keras`` over, where a Keras 2 is there."""
    if not any(isinstance(each, Finder) for each in sys.meta_path):
        sys.meta_path.insert(0, Finder())
