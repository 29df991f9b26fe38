"""The process in which untrusted images are decoded: little memory, little time, nothing to lose and nothing to reach.

Run as ``python -m harness.execution.outputs.decoder_main FD MEMORY_BYTES``. A message on the socket that is its stdin brings up to
a few dozen open
files, a line on stdout says that they are done, and all else goes through the shared memory behind FD. It opens nothing itself: it
has no file system, see ``confine``. The kernel ends it when one image takes too long. It ends by itself when the harness is gone.
"""

from __future__ import annotations

import importlib
import json
import mmap
import os
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

from harness.execution.outputs.shared_batch import CPU_LIMIT_S, FILES

#: Wall clock for one image, for a file system that hangs; far above any wait on a busy host.
WALL_LIMIT_S = 300.0
_MESSAGE_BYTES = 1 << 16
_PARENT_POLL_S = 5.0
#: What Pillow imports in the middle of decoding.
_LATE = ("copy", "PIL.ImageCms", "PIL.ImageColor", "PIL.ImageFilter", "PIL.ImagePalette", "PIL.MpoImagePlugin",
         "encodings.ascii", "encodings.latin_1", "encodings.cp1252", "encodings.utf_16", "encodings.utf_16_be",
         "encodings.utf_16_le")


def _prepare() -> None:
    """Import all that decoding needs, and decode one image of each format: later nothing can be imported."""
    from io import BytesIO  # noqa: PLC0415

    from PIL import Image  # noqa: PLC0415

    from harness.formats import images  # noqa: PLC0415

    for name in _LATE:
        try:
            importlib.import_module(name)
        except ImportError:  # an optional part of Pillow that is not there
            continue
    # What Pillow warns about is judged by whether pixels come out.
    warnings.simplefilter("ignore")
    for name in images.FORMATS:
        file = BytesIO()
        Image.new("RGB", (4, 4)).save(file, name)
        for data in (file.getvalue(), file.getvalue()[:-4]):
            try:
                images.open_rgb(data, 16).resize((2, 2), Image.Resampling.BICUBIC)
            except images.UnreadableImageError:
                continue


def _requests(questions: socket.socket, parent: int) -> Iterator[tuple[dict[str, Any], list[int]]]:
    while os.getppid() == parent:
        if not select.select([0], [], [], _PARENT_POLL_S)[0]:
            continue
        message, files, _, _ = socket.recv_fds(questions, _MESSAGE_BYTES, FILES)
        if not message:
            return
        yield json.loads(message), files


def _decode(request: dict[str, Any], files: list[int], memory: mmap.mmap, parent: int) -> None:
    from harness.execution.outputs import safe_open as walk  # noqa: PLC0415 - after the limits are set
    from harness.execution.outputs.shared_batch import Verdict, views  # noqa: PLC0415
    from harness.formats.images import UnreadableImageError, decode, file_byte_limit  # noqa: PLC0415

    count, height, width = request["shape"]
    size, budget_s = (width, height), request["budget_s"]
    shared = views(memory, (count, height, width))
    for index, file in zip(request["indices"], files, strict=True):
        if os.getppid() != parent:
            os._exit(1)
        shared.current[0] = index
        left_s = budget_s - float(shared.spent_s[0])
        if left_s <= 0:
            shared.refuse(index, f"the {budget_s:.0f} s of CPU time for reading this batch's images are used up")
            continue
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, min(CPU_LIMIT_S, left_s + 0.1))
        signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT_S)
        try:
            decoded = decode(walk.read_descriptor(file, file_byte_limit(size)), size)
        except (walk.RefusedFileError, UnreadableImageError) as refusal:
            shared.refuse(index, refusal.reason)
            continue
        finally:
            shared.spent_s[0] += time.process_time() - began
        shared.decoded[index] = decoded.pixels
        shared.verdicts[index] = Verdict.RESIZED if decoded.resized else Verdict.PRODUCED


def main() -> None:
    """Serve batches until stdin ends."""
    parent = os.getppid()
    descriptor, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    os.close(descriptor)
    questions = socket.socket(fileno=0)
    # Libraries may print; only the protocol reaches the harness.
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    importlib.import_module("harness.execution.outputs.safe_open")
    _prepare()
    from harness.execution.outputs.confine import confine  # noqa: PLC0415

    os.write(answers, " ".join(["ready", *confine(memory_bytes)]).encode() + b"\n")
    for request, files in _requests(questions, parent):
        _decode(request, files, memory, parent)
        for file in files:
            os.close(file)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.write(answers, b"done\n")


if __name__ == "__main__":
    main()
