"""The harness's side of a decoding worker: started when needed, started again when it dies.

A worker that dies costs the image it was at, and only if that image ends two workers one after the other: a worker may also die
for the host's reasons, and those must not be charged to a submission.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import harness
from harness.execution.outputs import safe_open as walk
from harness.execution.outputs.shared_batch import CPU_LIMIT_S, FILES, SharedBatch, Verdict, byte_size, views
from harness.formats.images import file_byte_limit, pixel_limit

#: Address space beside the shared pixels: Python, numpy and Pillow take 0.12 GB of it, a file at the limits 0.2 GB.
DECODER_BYTES = 1 << 30
#: Above the worker's own limit for one image.
STUCK_S = 330.0
_SIGNALS: dict[int, str] = {
    signal.SIGPROF: "decoding it takes too much CPU time",
    signal.SIGALRM: "decoding it hangs",
}


class ReaderError(Exception):
    """The harness could not read outputs, for reasons of the host; says nothing about the submission."""


class Worker:
    """One decoding process and the memory shared with it. Not thread-safe.

    Args:
        memory_bytes: Shared memory to set up; larger batches need another worker.

    Attributes:
        measures: Which of ``confine.MEASURES`` hold for the process that was started last.
    """

    def __init__(self, memory_bytes: int) -> None:
        self.memory_bytes = memory_bytes
        self._descriptor = os.memfd_create("harness-batch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self._descriptor, memory_bytes)
        # A worker that cut it short would end the harness, which reads it.
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        self._memory = mmap.mmap(self._descriptor, memory_bytes)
        self._process: subprocess.Popen[bytes] | None = None
        self._questions: socket.socket | None = None
        self.measures: frozenset[str] = frozenset()

    def decode(self, output_dir: Path, files: Sequence[str], shape: tuple[int, int, int]) -> SharedBatch:
        """Decode the named files, each an image of a batch of ``shape`` (n, h, w); the result lives until the next call.

        The files are opened here: the worker has no file system.

        Raises:
            ReaderError: No worker can be started, or the directory cannot be opened.
        """
        count, height, width = shape
        shared = views(self._memory, shape)
        shared.verdicts[:] = Verdict.ABSENT
        shared.spent_s[0] = 0.0
        most_bytes, budget_s = file_byte_limit((width, height)), decoding_budget_s(count, (width, height))
        request = {"shape": [count, height, width], "budget_s": budget_s}
        if self._process is None:
            self.start()
        with opened_directory(output_dir) as directory:
            for at in range(0, count if directory is not None else 0, FILES):
                opened: dict[int, int] = {}
                try:
                    for index in range(at, min(at + FILES, count)):
                        try:
                            file = walk.open_file(cast("int", directory), files[index], most_bytes)
                        except walk.RefusedFileError as refusal:
                            shared.refuse(index, refusal.reason)
                            continue
                        if file is not None:
                            opened[index] = file
                    self._decode_files(request, opened, shared)
                finally:
                    for file in opened.values():
                        os.close(file)
        return shared

    def _decode_files(self, request: dict[str, object], opened: dict[int, int], shared: SharedBatch) -> None:
        """Have them decoded; an image that ends two workers is refused."""
        indices, start, suspect = list(opened), 0, -1
        for index in indices:
            shared.verdicts[index] = Verdict.UNSEEN
        while start < len(indices):
            asked = indices[start:]
            shared.current[0] = asked[0]
            death = self._ask({**request, "indices": asked}, [opened[index] for index in asked], shared)
            if death is None:
                return
            # What a dying worker wrote is used as an index here, so only what it was asked for counts.
            at = int(shared.current[0])
            start = indices.index(at) if at in asked else start
            out_of_time = death == _SIGNALS[signal.SIGPROF]
            # A crash costs a start as well, which is charged to the batch whose bytes caused it.
            shared.spent_s[0] = abs(float(shared.spent_s[0])) + (CPU_LIMIT_S if out_of_time else 1.0)
            if start == suspect or out_of_time:
                shared.refuse(indices[start], death)
                start += 1
            suspect = start

    def close(self) -> None:
        """End the process and give the memory back."""
        self._end()
        # Views of a batch may still be alive; the mapping goes with the last of them.
        with contextlib.suppress(BufferError):
            self._memory.close()
        os.close(self._descriptor)

    def _ask(self, request: dict[str, object], files: Sequence[int], shared: SharedBatch) -> str | None:
        """None when these files are done, else how the worker died."""
        process = self._process or self.start()
        try:
            socket.send_fds(cast("socket.socket", self._questions), [json.dumps(request).encode()], files)
            _wait(process, shared)
            if _answer(process) == b"done\n":
                return None
        except OSError:
            pass  # it died before it could be asked; its exit code says how
        code = self._end()
        kind = "signal" if code < 0 else "exit code"
        return _SIGNALS.get(-code, f"decoding it crashes the decoder ({kind} {abs(code)})")

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process; raises ``ReaderError`` where that is not available."""
        package_parent = str(Path(harness.__file__).resolve().parent.parent)
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        limit = DECODER_BYTES + 2 * self.memory_bytes
        self._questions, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                [sys.executable, "-m", "harness.execution.outputs.decoder_main", str(self._descriptor), str(limit)],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": package_parent, **threads},
                pass_fds=(self._descriptor,),
                # A Ctrl-C at the terminal is the harness's to handle.
                start_new_session=True,
            )
        except OSError as error:
            self._questions.close()
            msg = f"no decoding worker can be started ({error.strerror})"
            raise ReaderError(msg) from error
        finally:
            theirs.close()
        self._process = process
        ready, *held = _answer(process).decode("ascii", "replace").split() or [""]
        self.measures = frozenset(held)
        if ready != "ready":
            code = self._end()
            msg = f"the decoding worker does not start (exit code {code})"
            raise ReaderError(msg)
        return process

    def _end(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (self._questions, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if process.poll() is None:
            # It may just be dying of its own signal, which is worth reporting; it never waits for anything but us.
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
    return cast("IO[bytes]", process.stdout).readline(100)


def measures() -> frozenset[str]:
    """Which of ``confine.MEASURES`` hold on this host.

    Raises:
        ReaderError: No worker can be started.
    """
    worker = Worker(1 << 20)
    try:
        worker.start()
        return worker.measures
    finally:
        worker.close()


@contextlib.contextmanager
def opened_directory(path: Path) -> Iterator[int | None]:
    """The output directory, None where it is gone.

    Raises:
        ReaderError: It cannot be opened.
    """
    try:
        directory = walk.open_directory(path)
    except OSError as error:
        msg = f"the output directory {path} cannot be opened ({error.strerror})"
        raise ReaderError(msg) from error
    try:
        yield directory
    finally:
        if directory is not None:
            os.close(directory)


def decoding_budget_s(count: int, size: tuple[int, int]) -> float:
    """Processor time for reading a batch's images, of (width, height) as they should be.

    A PNG at the pixel limit takes 0.03 s, the slowest honest file, a progressive JPEG there, 0.14 s; one of 299x299 pixels 0.001 s.
    """
    return 5.0 + 0.2 * count * pixel_limit(size) / pixel_limit((1, 1))


def memory_for(shape: tuple[int, int, int]) -> int:
    """Bytes of shared memory for a batch, rounded up so that a shorter or slightly larger one fits as well."""
    step = 1 << 20
    return -(-byte_size(shape) // step) * step
