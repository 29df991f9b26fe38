"""GPUs, and the part of NVIDIA's toolkit that runs as root on the host for every GPU container."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from harness.doctor import advisories
from harness.doctor.check import Check
from harness.engine.gpu import Gpu, ProbeError, ask, detect, of_kind
from harness.errors import EngineError


def judge(gpus: Sequence[Gpu], wanted: Literal["auto", "none"] | tuple[str, ...]) -> Check:
    """Whether the GPUs that the tournament names exist on this host."""
    named = wanted if isinstance(wanted, tuple) else ()
    known = {gpu.index for gpu in gpus} | {gpu.uuid for gpu in gpus}
    if absent := [name for name in named if name not in known]:
        return Check("GPUs", "fail", f"asked for (workers.gpus) and not found: {', '.join(absent)}",
                     "Name GPUs that `nvidia-smi -L` lists, or set workers.gpus: auto.")
    if not gpus:
        return Check("GPUs", "ok", "none; entries run on the CPU")
    listed = "; ".join(f"{gpu.index}: {gpu.name}, {gpu.memory_total_mib} MiB, driver {gpu.driver}" for gpu in gpus)
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


def checks(wanted: Literal["auto", "none"] | tuple[str, ...], info: Mapping[str, Any] | None,
           kind: str | None = None) -> list[Check]:
    """All that concerns GPUs; ``kind`` as ``workers.require.gpu``."""
    if wanted == "none":
        return [Check("GPUs", "ok", "not used (workers.gpus: none)")]
    try:
        gpus = detect()
        if kind is not None:
            gpus = of_kind(gpus, kind)
    except EngineError as error:
        return [Check("GPUs", "fail", error.problem, error.next_step)]
    try:
        version = ask(["nvidia-ctk", "--version"]) or ask(["nvidia-container-cli", "--version"])
    except ProbeError as error:
        failed = Check("NVIDIA container toolkit", "warn", f"its version is not known: {error}",
                       "Make sure that it is 1.17.8 or newer.")
        return [judge(gpus, wanted), failed]
    own = toolkit(gpus, info, version)
    return [judge(gpus, wanted), *([own] if own else [])]
