"""GPUs, and the part of NVIDIA's toolkit that runs as root on the host for every GPU container."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.doctor import advisories
from harness.doctor.check import Check

#: nvidia-smi needs seconds where no persistence daemon holds the driver.
LIMIT_S = 30


@dataclass(frozen=True)
class Gpu:
    """One GPU as nvidia-smi lists it; memory in MiB."""

    index: str
    uuid: str
    name: str
    memory: str
    driver: str


def output(command: Sequence[str]) -> str | None:
    """What a program prints; None where it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def read_gpus(text: str) -> list[Gpu]:
    """The GPUs in nvidia-smi's CSV."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines())]
    return [Gpu(*row) for row in rows if len(row) == len(Gpu.__dataclass_fields__)]


def found() -> list[Gpu]:
    """The GPUs of this host."""
    text = output(["nvidia-smi", "--query-gpu=index,uuid,name,memory.total,driver_version", "--format=csv,noheader,nounits"])
    return read_gpus(text or "")


def judge(gpus: Sequence[Gpu], wanted: Literal["auto", "none"] | tuple[str, ...]) -> Check:
    """Whether the GPUs that the tournament names are here."""
    named = wanted if isinstance(wanted, tuple) else ()
    known = {gpu.index for gpu in gpus} | {gpu.uuid for gpu in gpus}
    if absent := [name for name in named if name not in known]:
        return Check("GPUs", "fail", f"asked for (workers.gpus) and not here: {', '.join(absent)}",
                     "Name GPUs that `nvidia-smi -L` lists, or set workers.gpus: auto.")
    if not gpus:
        return Check("GPUs", "ok", "none; entries run on the CPU")
    listed = "; ".join(f"{gpu.index}: {gpu.name}, {gpu.memory} MiB, driver {gpu.driver}" for gpu in gpus)
    return Check("GPUs", "ok", listed)


def toolkit(gpus: Sequence[Gpu], info: Mapping[str, Any] | None, version: str | None) -> Check | None:
    """NVIDIA's container toolkit against known advisories; None where there is neither it nor a GPU.

    Args:
        gpus: This host's GPUs.
        info: The engine's description of itself, None where no engine answers.
        version: What ``nvidia-ctk --version`` prints, None where it is not installed.
    """
    name = "NVIDIA container toolkit"
    if version is not None:
        first = next((line for line in version.splitlines() if advisories.parse(line)), version)
        return advisories.judge(name, first.rpartition(" ")[2], advisories.NVIDIA_TOOLKIT)
    if not gpus:
        return None
    if info is not None and "nvidia" in (info.get("Runtimes") or {}):
        return Check(name, "warn", "the engine has an nvidia runtime, but nvidia-ctk is not on PATH, so its version is unknown",
                     "Make sure that the toolkit is 1.17.8 or newer.")
    return Check(name, "warn", "not installed, so containers get no GPU", "Install nvidia-container-toolkit 1.17.8 or newer.")


def checks(wanted: Literal["auto", "none"] | tuple[str, ...], info: Mapping[str, Any] | None) -> list[Check]:
    """All that concerns GPUs."""
    if wanted == "none":
        return [Check("GPUs", "ok", "not used (workers.gpus: none)")]
    gpus = found()
    version = output(["nvidia-ctk", "--version"]) or output(["nvidia-container-cli", "--version"])
    own = toolkit(gpus, info, version)
    return [judge(gpus, wanted), *([own] if own else [])]
