"""``scipy.misc``'s image functions, removed in scipy 1.2, written anew on Pillow.

What entries depend on, and a plain ``Image.fromarray`` would break: an array that is not uint8 is stretched so that its
least value becomes 0 and its greatest 255 ("byte scaling"), whatever those values are; uint8 is left alone; the colour
axis may be first; ``imresize`` takes a percentage, a fraction or (height, width), and scales bytes before it resizes.
"""

# ruff: noqa: ANN401 - the removed functions took anything
# ruff: noqa: PLR2004 - dimensions of arrays
# ruff: noqa: PLC0415 - whatever this module imports, the program would have to wait for

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

MODES = {3: "RGB", 4: "RGBA"}
FILTERS = {"nearest": "NEAREST", "lanczos": "LANCZOS", "bilinear": "BILINEAR", "bicubic": "BICUBIC", "cubic": "BICUBIC"}


def bytescale(data: Any, cmin: Any = None, cmax: Any = None, high: int = 255, low: int = 0) -> Any:
    """Stretch ``data`` linearly from [cmin, cmax] (default: its own range) to [low, high] as uint8, halves up."""
    import numpy as np

    data = np.asarray(data)
    if data.dtype == np.uint8:
        return data
    cmin = data.min() if cmin is None else cmin
    cmax = data.max() if cmax is None else cmax
    spread = float(cmax) - float(cmin)
    scaled = (data.astype(float) - float(cmin)) * (high - low) / (spread or 1.0) + low
    return (np.clip(scaled, low, high) + 0.5).astype(np.uint8)


def toimage(
    arr: Any,
    high: int = 255,
    low: int = 0,
    cmin: Any = None,
    cmax: Any = None,
    mode: str | None = None,
    channel_axis: int | None = None,
) -> Any:
    """A Pillow image of a [h, w] array, or of one with three or four channels on any axis."""
    import numpy as np
    from PIL import Image

    data = np.asarray(arr)
    if data.ndim == 2:
        if mode == "F":
            return Image.fromarray(data.astype(np.float32))
        if mode == "I":
            return Image.fromarray(data.astype(np.int32))
        image = Image.fromarray(bytescale(data, cmin, cmax, high, low))
        return image if mode in {None, "L"} else image.convert(mode)
    if data.ndim != 3 or not set(MODES) & set(data.shape):
        msg = "'arr' does not have a suitable array shape for any mode."
        raise ValueError(msg)
    if channel_axis is None:
        channel_axis = next(data.shape.index(count) for count in MODES if count in data.shape)
    pixels = np.ascontiguousarray(np.moveaxis(bytescale(data, cmin, cmax, high, low), channel_axis, -1))
    image = Image.fromarray(pixels)
    return image if mode in {None, image.mode} else image.convert(mode)


def fromimage(im: Any, flatten: bool = False, mode: str | None = None) -> Any:
    """The array of a Pillow image: uint8 [h, w] or [h, w, channels], float32 when flattened to grey."""
    import numpy as np

    if mode is not None:
        im = im.convert(mode) if mode != im.mode else im
    elif im.mode == "P":
        im = im.convert("RGBA" if "transparency" in im.info else "RGB")
    if flatten:
        im = im.convert("F")
    elif im.mode == "1":
        im = im.convert("L")
    return np.array(im)


def imread(name: Any, flatten: bool = False, mode: str | None = None) -> Any:
    """Read an image file into an array."""
    from PIL import Image

    with Image.open(name) as image:
        return fromimage(image, flatten=flatten, mode=mode)


def imsave(name: Any, arr: Any, format: str | None = None) -> None:  # noqa: A002 - the name callers pass
    """Write an array to an image file, byte scaled."""
    toimage(arr, channel_axis=2 if getattr(arr, "ndim", 2) == 3 else None).save(name, format)


def imresize(arr: Any, size: Any, interp: str = "bilinear", mode: str | None = None) -> Any:
    """Resize: an int is a percentage, a float a fraction, a tuple (height, width)."""
    import numpy as np
    from PIL import Image

    image = toimage(arr, mode=mode)
    if isinstance(size, (int, np.integer)):
        size = size / 100.0
    if isinstance(size, (float, np.floating)):
        new = tuple((np.array(image.size) * size).astype(int).tolist())
    else:
        new = (int(size[1]), int(size[0]))
    return fromimage(image.resize(new, resample=Image.Resampling[FILTERS[interp]]))


def patch(module: ModuleType) -> None:
    """Fill ``scipy.misc``; make ``scipy.misc`` reachable after a bare ``import scipy``."""
    if module.__name__ == "scipy.misc":
        for function in (bytescale, toimage, fromimage, imread, imsave, imresize):
            if not hasattr(module, function.__name__):
                setattr(module, function.__name__, function)
        return
    # Only `import scipy` was needed once anything else in the program had imported the submodule.
    own = getattr(module, "__getattr__", None)

    def __getattr__(name: str) -> Any:  # noqa: N807 - a module's own hook
        if name == "misc":
            return importlib.import_module("scipy.misc")
        if own is None:
            raise AttributeError(name)
        return own(name)

    module.__getattr__ = __getattr__
