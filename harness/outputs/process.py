"""The harness's side of a decoding worker: started when needed, started again when it dies.

A worker that dies costs the image it was at, and only if that image ends two workers one after the other: a worker may also die
for the host's reasons, and those must not be charged to a submission.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

import harness
from harness.outputs.area import SharedBatch, Verdict, byte_size, views

#: Address space beside the shared pixels: Python, numpy and Pillow take 0.12 GB of it, a file at the limits 0.2 GB.
DECODER_BYTES = 1 << 30
#: Above the worker's own limit for one image.
STUCK_S = 330.0
_SIGNALS: dict[int, str] = {
    signal.SIGPROF: "decoding it takes too much processor time",
    signal.SIGALRM: "decoding it does not end",
}


class ReaderError(Exception):
    """The harness could not read outputs, for reasons of the host; says nothing about the submission."""


class Worker:
    """One decoding process and the memory shared with it. Not thread-safe.

    Args:
        memory_bytes: Shared memory to set up; larger batches need another worker.
    """

    def __init__(self, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self._descriptor = os.memfd_create("harness-batch", os.MFD_CLOEXEC)
        os.ftruncate(self._descriptor, memory_bytes)
        self._memory = mmap.mmap(self._descriptor, memory_bytes)
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, output_dir: Path, files: Sequence[str], clean: NDArray[np.uint8], epsilon: int) -> SharedBatch:
        """Decode, measure and enforce the named files; the result lives until the next call.

        Raises:
            ReaderError: No worker can be started.
        """
        count, height, width = clean.shape[:3]
        shared = views(self._memory, (count, height, width))
        shared.clean[:] = clean
        shared.verdicts[:] = Verdict.UNSEEN
        shared.linf[:] = -1
        request: dict[str, object] = {"directory": str(output_dir.absolute()), "files": list(files), "epsilon": epsilon}
        request["shape"] = [count, height, width]
        start, suspect = 0, -1
        while start < count:
            shared.current[0] = start
            death = self._ask({**request, "start": start}, shared)
            if death is None:
                break
            # What a dying worker wrote is used as an index here, so it is kept within the batch.
            start = min(max(int(shared.current[0]), start), count - 1)
            if start == suspect:
                shared.refuse(start, death)
                start += 1
            suspect = start
        return shared

    def close(self) -> None:
        """End the process and give the memory back."""
        self._end()
        # Views of a batch may still be alive; the mapping goes with the last of them.
        with contextlib.suppress(BufferError):
            self._memory.close()
        os.close(self._descriptor)

    def _ask(self, request: dict[str, object], shared: SharedBatch) -> str | None:
        """None when the batch is done, else how the worker died."""
        process = self._process or self._start()
        try:
            questions = cast("IO[bytes]", process.stdin)
            questions.write(json.dumps(request).encode() + b"\n")
            questions.flush()
            _wait(process, shared)
            if _answer(process) == b"done\n":
                return None
        except OSError:
            pass  # it died before it could be asked; its exit code says how
        code = self._end()
        kind = "signal" if code < 0 else "exit code"
        return _SIGNALS.get(-code, f"decoding it ends the decoder ({kind} {abs(code)})")

    def _start(self) -> subprocess.Popen[bytes]:
        package_parent = str(Path(harness.__file__).resolve().parent.parent)
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        limit = DECODER_BYTES + 2 * self.memory_bytes
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "harness.outputs.worker", str(self._descriptor), str(limit)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": package_parent, **threads},
                pass_fds=(self._descriptor,),
                # A Ctrl-C at the terminal is the harness's to handle.
                start_new_session=True,
            )
        except OSError as error:
            msg = f"no decoding worker can be started ({error.strerror})"
            raise ReaderError(msg) from error
        self._process = process
        if _answer(process) != b"ready\n":
            code = self._end()
            msg = f"the decoding worker does not start (exit code {code})"
            raise ReaderError(msg)
        return process

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if process.poll() is None:
            # It may just be dying of its own signal, which is worth telling; it never waits for anything but us.
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=2)
            process.kill()
        return process.wait()


def _wait(process: subprocess.Popen[bytes], shared: SharedBatch) -> None:
    """Wait for an answer; a worker that is stuck beyond its own limits (stopped by a signal, say) is killed."""
    answers = cast("IO[bytes]", process.stdout)
    while True:
        before = int(shared.current[0])
        if select.select([answers], [], [], STUCK_S)[0]:
            return
        if int(shared.current[0]) == before:
            process.kill()


def _answer(process: subprocess.Popen[bytes]) -> bytes:
    return cast("IO[bytes]", process.stdout).readline(16)


def memory_for(clean: NDArray[np.uint8]) -> int:
    """Bytes of shared memory for a batch, rounded up so that a shorter or slightly larger one fits as well."""
    count, height, width = clean.shape[:3]
    step = 1 << 20
    return -(-byte_size((count, height, width)) // step) * step
