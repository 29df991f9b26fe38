"""Whether limits are enforced: three tiny containers that ask for more than they may have.

An engine can believe in a limit that its kernel ignores (a cgroup controller that is not mounted, an emulation), so each
is tried.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from docker import APIClient

from harness.doctor.check import Check
from harness.ending import held
from harness.sandbox import owner
from harness.sandbox.docker.client import ENGINE_FAILURES, explain
from harness.sandbox.docker.usage import group_file

MEMORY_BYTES = 64 << 20
PIDS = 16
#: Of one core. A container that gets half a core more is not limited; bursts are far smaller.
CPU_SHARE, CPU_TOO_MUCH = 0.25, 0.75
#: A container of this kind ends within half a second; a host that swaps may need longer.
LIMIT_S = 30
#: The exit code of a program that was killed.
_KILLED = 137

_EAT = "a = bytearray(256 << 20); import time; [a.__setitem__(i, 1) for i in range(0, len(a), 4096)]; print('ate it')"
_SPIN = "import time; until = time.monotonic() + 1\nwhile time.monotonic() < until: pass\nprint(time.process_time())"
_FORK = """
import os, time
born = 0
try:
    while born < 64:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        born += 1
except OSError:
    pass
print(born, flush=True)
os._exit(0)
"""


@dataclass(frozen=True)
class Ended:
    """How a trial container ended, and whether its control group could be read meanwhile."""

    exit_code: int
    oom_killed: bool
    stdout: str
    group_seen: bool = True


@held()
def trial(api: APIClient, image: str, program: str, limits: dict[str, int]) -> Ended:
    """Run a Python program in a container without network, with limits as the engine names them, and remove it."""
    config = api.create_host_config(network_mode="none", cap_drop=["ALL"], security_opt=["no-new-privileges"])
    config.update(limits, LogConfig={"Type": "json-file"})
    made: dict[str, Any] = api.create_container(
        image, ["-c", program], entrypoint=["python3"], host_config=config, labels=owner.labels_of({"role": "doctor"}))
    try:
        api.start(made["Id"])
        seen = group_file(made["Id"], ("memory/{}/memory.stat", "{}/memory.stat")) is not None
        code = int(api.wait(made["Id"], timeout=LIMIT_S)["StatusCode"])
        state = api.inspect_container(made["Id"])["State"]
        return Ended(code, bool(state.get("OOMKilled")), api.logs(made["Id"], stderr=False).decode(errors="replace").strip(),
                     seen)
    finally:
        with contextlib.suppress(*ENGINE_FAILURES):
            api.remove_container(made["Id"], force=True, v=True)


def memory(ended: Ended) -> Check:
    """Whether a program that took more memory than allowed was killed, and the engine said so."""
    if "ate it" in ended.stdout:
        return Check("memory limit", "fail", "a container with 64 MiB took 256 MiB",
                     "Enable the memory cgroup controller (and swap accounting) for this host.")
    if not ended.oom_killed and ended.exit_code != _KILLED:
        return Check("memory limit", "warn", f"the probe container failed (exit code {ended.exit_code})", "Run it again.")
    if not ended.oom_killed:
        return Check("memory limit", "warn", f"it works (exit code {ended.exit_code}), but the engine does not report OOMKilled",
                     "Memory kills will be reported as a non-zero exit.")
    return Check("memory limit", "ok", "a container with 64 MiB that took more was killed, and the engine says why")


def processes(ended: Ended) -> Check:
    """Whether a program could start more processes than allowed."""
    started = int(ended.stdout) if ended.stdout.isdigit() else None
    if started is None:
        return Check("process limit", "warn", f"the probe container failed (exit code {ended.exit_code})", "Run it again.")
    if started >= PIDS:
        return Check("process limit", "fail", f"a container with {PIDS} processes started {started} more",
                     "Enable the pids cgroup controller for this host.")
    return Check("process limit", "ok", f"a container with {PIDS} processes could start {started} and no more")


def processor(ended: Ended) -> Check:
    """Whether a program got no more of the processor than allowed: CPU seconds in one second."""
    try:
        used = float(ended.stdout)
    except ValueError:
        return Check("CPU limit", "warn", f"the probe container failed (exit code {ended.exit_code})", "Run it again.")
    if used > CPU_TOO_MUCH:
        return Check("CPU limit", "fail", f"a container with {CPU_SHARE:g} of a core used {used:.2f}",
                     "Enable the cpu cgroup controller (CFS bandwidth) for this host.")
    return Check("CPU limit", "ok", f"a container with {CPU_SHARE:g} of a core used {used:.2f}")


def groups(ended: Ended) -> Check:
    """Whether the harness can read what a container uses: that of a program that ran for a second."""
    name = "control groups"
    if not ended.group_seen and ended.exit_code == 0:
        return Check(name, "warn", "those of containers cannot be read: runs have no CPU and memory figures, and unlinked files "
                     "do not count against the layer's limit",
                     "Run the harness on the engine's host, with /sys/fs/cgroup as it is there.")
    if not ended.group_seen:
        return Check(name, "warn", f"the probe container failed (exit code {ended.exit_code})", "Run it again.")
    return Check(name, "ok", "CPU time and memory of a container can be read")


def tried(api: APIClient, image: str) -> list[Check]:
    """All trials."""
    trials: list[tuple[str, str, dict[str, int], tuple[Callable[[Ended], Check], ...]]] = [
        ("memory limit", _EAT, {"Memory": MEMORY_BYTES, "MemorySwap": MEMORY_BYTES}, (memory,)),
        ("process limit", _FORK, {"PidsLimit": PIDS}, (processes,)),
        ("CPU limit", _SPIN, {"NanoCpus": int(CPU_SHARE * 1e9)}, (processor, groups)),
    ]
    checks = []
    for name, program, most, judges in trials:
        try:
            ended = trial(api, image, program, most)
            checks += [judge(ended) for judge in judges]
        except ENGINE_FAILURES as error:
            checks.append(Check(name, "fail", f"it could not be tested ({explain(error)})", "Run a container by hand."))
    return checks
