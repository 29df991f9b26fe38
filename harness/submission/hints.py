"""One line on the most common failures, from the end of what a program printed.

A hint is a guess from the output, shown with it and never instead: the author sees both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

#: Characters of the end of stderr that are looked at; an error's last line is among them.
_LOOKED_AT = 4000
_TORCH = "localhost/harness-full:1, or localhost/harness-compat-torch:1 for an entry of 2017"
_TENSORFLOW = "localhost/harness-compat-tf:1, or localhost/harness-compat-tf1:1 for Python 2"
#: First part of a module's name -> the images that have it; docker/build.py makes them.
_HAVE = {
    **dict.fromkeys(("torch", "torchvision", "timm", "kornia", "foolbox", "torchattack", "safetensors", "field_kit"), _TORCH),
    **dict.fromkeys(("tensorflow", "tf_slim", "keras", "tf_keras"), _TENSORFLOW),
    "cleverhans": "localhost/harness-compat-tf:1",
    **dict.fromkeys(("scipy", "pandas", "h5py"), "localhost/harness-compat-torch:1 or localhost/harness-compat-tf:1"),
}


@dataclass(frozen=True)
class _Hint:
    found: re.Pattern[str]
    sentence: Callable[[re.Match[str]], str]


def _module(match: re.Match[str]) -> str:
    name = match[1]
    images = _HAVE.get(name.partition(".")[0])
    if images is None:
        return f"Its image has no module {name}: put it beside the program, or name an image that has it."
    return f"Its image has no module {name}: name one that has it as `container`, such as {images}."


# Each is bounded, so that no text takes long.
_HINTS = (
    _Hint(re.compile(r"(?:ModuleNotFoundError|ImportError): No module named '?([A-Za-z_][\w.]{0,99})"), _module),
    _Hint(re.compile(r"Missing parentheses in call to 'print'|multiple exception types must be parenthesized"
                     r"|NameError: (?:global )?name '(?:xrange|unicode|raw_input|long|basestring|reduce)' is not defined"
                     r"|TabError: inconsistent use of tabs|'dict' object has no attribute '(?:iteritems|has_key|itervalues)'"
                     r"|No module named '(?:cPickle|StringIO|urllib2|ConfigParser|Queue)'"),
          lambda _: "It is written for Python 2: localhost/harness-compat-tf1:1 has that, with TensorFlow 1."),
    _Hint(re.compile(r"Torch not compiled with CUDA|No CUDA GPUs are available|Found no NVIDIA driver|no CUDA-capable device"
                     r"|Attempting to deserialize object on a CUDA device|CUDA driver version is insufficient"),
          lambda _: 'This run has no GPU: load weights with map_location="cpu", and use CUDA only where it is available.'),
    _Hint(re.compile(r"Name or service not known|Temporary failure in name resolution|Network is unreachable|urlopen error"
                     r"|Max retries exceeded with url|nodename nor servname"),
          lambda _: "Runs have no network: put what it downloads (weights, say) into its directory."),
    _Hint(re.compile(r"(?:No such file or directory|does not exist|not found)[^\n'\"]{0,60}?['\"\s:]([^\s'\":;,]{1,200}"
                     r"\.(?:ckpt|pth|pt|pkl|h5|npy|npz|pb|t7|tar|bin|hdf5|safetensors|index|meta|weights)\b[^\s'\":;,]{0,60})"),
          lambda match: f"{match[1]} is not there: put it into its directory, and name it relative to the program."),
)


def hint(stderr: str) -> str:
    """What the end of a program's stderr suggests to do; empty where it suggests nothing.

    Args:
        stderr: What the program wrote; the sentence may hold a part of it, so it is for a report that shows text as text.
    """
    end = stderr[-_LOOKED_AT:]
    # Python 2's names of modules before modules that are missing.
    for each in (_HINTS[1], *_HINTS):
        if match := each.found.search(end):
            return each.sentence(match)
    return ""
