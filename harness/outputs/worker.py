"""The process in which images of an opponent are decoded: little memory, little time, nothing to lose.

Run as ``python -m harness.outputs.worker FD MEMORY_BYTES``. A JSON line on stdin asks for a batch, a line on stdout says
that it is done, and all else goes through the shared memory behind FD. The kernel ends it when one image takes too long. It
ends by itself when the harness is gone.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import select
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

#: Processor time for one image; 2048x2048 pixels in the slowest format take 0.5 s.
CPU_LIMIT_S = 10.0
#: Wall clock for one image, for a file system that hangs; far above any wait on a busy host.
WALL_LIMIT_S = 300.0
_PARENT_POLL_S = 5.0


def _confine(memory_bytes: int) -> None:
    """Take away what decoding does not need."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    # What Pillow grumbles about is judged by whether pixels come out.
    warnings.simplefilter("ignore")


def _requests(parent: int) -> Any:  # noqa: ANN401 - JSON
    pending = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], _PARENT_POLL_S)[0]:
            continue
        piece = os.read(0, 1 << 16)
        if not piece:
            return
        pending += piece
        while b"\n" in pending:
            line, pending = pending.split(b"\n", 1)
            yield json.loads(line)


def _decode_batch(request: dict[str, Any], memory: mmap.mmap, parent: int) -> None:
    from harness.images import UnreadableImageError, decode, enforce, file_byte_limit, linf  # noqa: PLC0415
    from harness.outputs import walk  # noqa: PLC0415 - after the limits are set
    from harness.outputs.area import Verdict, views  # noqa: PLC0415

    count, height, width = request["shape"]
    size = (width, height)
    shared = views(memory, (count, height, width))
    directory = walk.open_directory(Path(request["directory"]))
    if directory is None:
        shared.verdicts[request["start"] :] = Verdict.ABSENT
        return
    for index in range(request["start"], count):
        if os.getppid() != parent:
            os._exit(1)
        shared.current[0] = index
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
        signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT_S)
        try:
            data = walk.read_file(directory, request["files"][index], file_byte_limit(size))
            if data is None:
                shared.verdicts[index] = Verdict.ABSENT
                continue
            decoded = decode(data, size)
        except (walk.RefusedFileError, UnreadableImageError) as refusal:
            shared.refuse(index, refusal.reason)
            continue
        clean = shared.clean[index]
        shared.linf[index] = linf(clean[None], decoded.pixels[None])[0]
        shared.adversarial[index] = enforce(clean, decoded.pixels, request["epsilon"])
        shared.verdicts[index] = Verdict.RESIZED if decoded.resized else Verdict.PRODUCED
    os.close(directory)


def main() -> None:
    """Serve batches until stdin ends."""
    parent = os.getppid()
    descriptor, memory_bytes = int(sys.argv[1]), int(sys.argv[2])
    _confine(memory_bytes)
    # Libraries may print; only the protocol reaches the harness.
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    import harness.images  # noqa: PLC0415 - the first batch should not wait for it
    import harness.outputs.area  # noqa: F401, PLC0415

    os.write(answers, b"ready\n")
    for request in _requests(parent):
        _decode_batch(request, memory, parent)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.write(answers, b"done\n")


if __name__ == "__main__":
    main()
