"""Which GPUs this host has, as slots need them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.errors import EngineError
from harness.execution.job import Slot

#: nvidia-smi needs seconds where no persistence daemon holds the driver.
LIMIT_S = 30.0
#: What nvidia-smi says where its driver works and sees no GPU: an answer, whatever its exit code.
_NO_DEVICES = "No devices were found"
_QUERY = "index,uuid,name,driver_version,memory.total,memory.used,clocks.sm"


@dataclass(frozen=True)
class Gpu:
    """One GPU, as ``nvidia-smi`` reports it. Memory in MiB, clock in MHz."""

    index: str
    uuid: str
    name: str
    driver: str
    memory_total_mib: int
    memory_used_mib: int
    clock_mhz: int


class ProbeError(Exception):
    """A program that should report the hardware failed; the hardware is unknown."""


def ask(command: Sequence[str], limit_s: float | None = None) -> str | None:
    """What a program prints; None where it is not installed.

    It is ended with all that it started: a wrapper script's child may hold the pipe open long after the script was killed.

    Raises:
        ProbeError: It is installed and fails, or does not answer in time.
    """
    if shutil.which(command[0]) is None:
        return None
    limit_s = limit_s or LIMIT_S
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace", start_new_session=True)
    except OSError as error:
        raise ProbeError(f"{command[0]} cannot be started ({error.strerror})") from None
    with process:
        try:
            said, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            raise ProbeError(f"{command[0]} did not answer within {limit_s:g} s") from None
        finally:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode == 0 or _NO_DEVICES in said:
        return said
    words = "".join(c if c.isprintable() else " " for c in said).split()
    raise ProbeError(f"{command[0]} failed with exit code {process.returncode} ({' '.join(words)[:200] or 'it said nothing'})")


def detect() -> tuple[Gpu, ...]:
    """The GPUs of this host; none where ``nvidia-smi`` is absent or says that there are none.

    Raises:
        EngineError: ``nvidia-smi`` is installed but fails, hangs or cannot be parsed: the GPUs are unknown.
    """
    try:
        said = ask(["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"])
    except ProbeError as error:
        raise _unknown(str(error)) from None
    if said is None or _NO_DEVICES in said:
        return ()
    found = parse(said)
    if len(found) != len(said.strip().splitlines()) or not found:
        raise _unknown(f"the output of nvidia-smi cannot be parsed ({said.strip()[:100]!a})")
    return found


def _unknown(why: str) -> EngineError:
    return EngineError(f"The GPUs of this host are unknown: {why}.",
                       "Repair the driver, or use no GPUs, with `workers: {gpus: none}` (`harness run --gpus none`).")


def parse(text: str) -> tuple[Gpu, ...]:
    """Read the CSV that ``detect`` asks for; fields that the driver does not know count as 0."""
    found = []
    for line in text.strip().splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == len(_QUERY.split(",")):
            numbers = [int(part) if part.isdigit() else 0 for part in parts[4:]]
            found.append(Gpu(parts[0], parts[1], parts[2], parts[3], *numbers))
    return tuple(found)


class Settling:
    """Waits until a killed program's memory is back: the driver frees it a moment after the process is gone.

    A run that starts earlier finds less free GPU memory than its author was promised, and may fail.

    Args:
        before: The GPUs as they were before the first run.
        look: How to look again.
        patience_s: How long to wait; what is still held then is reported and the next run starts anyway.
        open_on: How many programs are kept open on a GPU. What they hold is theirs and no driver tells whose is whose, so a GPU
            with open programs is not waited for.
    """

    #: Memory above the first reading that counts as left behind, MiB: contexts of the driver come and go below that.
    SLACK_MIB = 64

    def __init__(self, before: Sequence[Gpu], look: Callable[[], Sequence[Gpu]] = detect, patience_s: float = 30.0,
                 open_on: Callable[[str], int] = lambda _: 0) -> None:
        self._before = {gpu.uuid: gpu.memory_used_mib for gpu in before}
        self._look = look
        self._patience_s = patience_s
        self._open_on = open_on

    def wait(self, uuid: str, pause: Callable[[float], object] = time.sleep) -> str:
        """Wait for one GPU; a sentence when memory was held or still is, else empty."""
        if self._open_on(uuid):
            return ""
        began = time.monotonic()
        waited = False
        while (left := self._left(uuid)) is None or left > self.SLACK_MIB:
            if left is None:
                return "Whether the killed run's GPU memory was released is unknown: nvidia-smi failed."
            if time.monotonic() - began > self._patience_s:
                return f"{left} MiB of GPU memory stayed in use after the run was killed."
            waited = True
            pause(0.2)
        return f"GPU memory was released {time.monotonic() - began:.1f} s after the run was killed." if waited else ""

    def _left(self, uuid: str) -> int | None:
        """MiB above the first reading; None where it is unknown."""
        try:
            seen = self._look()
        except EngineError:
            return None
        used = {gpu.uuid: gpu.memory_used_mib for gpu in seen}
        return used.get(uuid, 0) - self._before.get(uuid, 0)


def of_kind(gpus: Sequence[Gpu], kind: str) -> tuple[Gpu, ...]:
    """The GPUs whose name has the words of ``kind`` in it, one after another: an L40 is no L4, and an H100 PCIe an H100.

    Raises:
        EngineError: None has.
    """
    wanted = _words(kind)
    found = tuple(gpu for gpu in gpus if any(
        _words(gpu.name)[place:place + len(wanted)] == wanted for place in range(len(_words(gpu.name)))))
    if not found:
        there = ", ".join(sorted({gpu.name for gpu in gpus})) or "none"
        raise EngineError(f"No GPU of this host is of the kind {kind} that workers.require asks for (found: {there}).",
                          "Correct workers.require.gpu, leave it out, or use a machine that has one.")
    return found


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())


def make_slots(gpus: Sequence[Gpu], wanted: Literal["auto", "none"] | Sequence[str], *, cpu_slots: int,
               per_gpu: int) -> tuple[Slot, ...]:
    """The slots of this machine: one or several per GPU where GPUs are used, else shares of the CPU.

    Raises:
        EngineError: A GPU that the person named is not there.
    """
    if wanted == "none" or (wanted == "auto" and not gpus):
        return tuple(Slot(f"cpu{number}") for number in range(cpu_slots))
    known = {name: gpu for gpu in gpus for name in (gpu.index, gpu.uuid)}
    chosen = list(gpus) if wanted == "auto" else []
    for name in () if wanted == "auto" else wanted:
        if name not in known:
            there = ", ".join(gpu.index for gpu in gpus) or "none"
            raise EngineError(f"There is no GPU {name} on this host (found: {there}).", "Correct workers.gpus or --gpus.")
        if known[name] in chosen:
            raise EngineError(f"GPU {name} is named twice.", "Name each once in workers.gpus or --gpus; slots_per_gpu shares one.")
        chosen.append(known[name])
    return tuple(Slot(f"gpu{gpu.index}" + (f".{share}" if per_gpu > 1 else ""), gpu.uuid)
                 for gpu in chosen for share in range(per_gpu))


def first_gpu(wanted: Literal["auto", "none"] | Sequence[str]) -> str | None:
    """The GPU that a single run would get, by UUID; None where none is used.

    Raises:
        EngineError: A GPU that the person named is not there, or which there are is not known.
    """
    found = detect() if wanted != "none" else ()
    return make_slots(found, wanted, cpu_slots=1, per_gpu=1)[0].gpu
