"""What the Docker engine says of itself, judged. Takes the engine's answers as mappings, so that every case has a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.doctor import advisories
from harness.doctor.check import Check, State

#: 20.10 is the first with cgroup v2 and the oldest that this is tested on.
OLDEST = (20, 10)
_LIMITS = {
    "MemoryLimit": "memory", "SwapLimit": "swap", "PidsLimit": "processes", "CpuCfsQuota": "CPU time",
}


def version(info: Mapping[str, Any]) -> Check:
    """The engine's age."""
    text = str(info.get("ServerVersion", ""))
    what = f"Docker {text}, kernel {info.get('KernelVersion', '?')}, {info.get('OperatingSystem', '?')}"
    if (advisories.parse(text) or (0,)) < OLDEST:
        return Check("engine", "warn", what, "Install Docker 20.10 or newer; older ones are not tested.")
    return Check("engine", "ok", what)


def security(info: Mapping[str, Any]) -> list[Check]:
    """Seccomp, mandatory access control, user namespaces."""
    if info.get("SecurityOptions") is None:
        return [Check("seccomp", "fail", "the engine does not say whether it filters system calls", "Check `docker info`.")]
    options = [str(option) for option in info["SecurityOptions"]]
    names = {part.removeprefix("name=") for option in options for part in option.split(",") if part.startswith("name=")}
    unconfined = any("seccomp" in option and "unconfined" in option for option in options)
    checks = [
        Check("seccomp", "ok", "system calls are filtered by default")
        if "seccomp" in names and not unconfined else
        Check("seccomp", "fail", "the engine filters no system calls",
              "Use an engine and kernel with seccomp, and no `seccomp-profile: unconfined` in daemon.json."),
    ]
    control = sorted(names & {"apparmor", "selinux"})
    checks.append(
        Check("access control", "ok", " and ".join(control)) if control else
        Check("access control", "warn", "neither AppArmor nor SELinux confines containers",
              "Enable AppArmor or SELinux in the kernel, or give the contest a virtual machine of its own."))
    apart = sorted(names & {"userns", "rootless"})
    checks.append(
        Check("user namespaces", "ok", f"root in a container is nobody on the host ({', '.join(apart)})") if apart else
        Check("user namespaces", "warn", "root in a 2017-format entry's container is the host's root, confined by dropped "
              "capabilities, seccomp and no-new-privileges",
              "For strangers' entries set `sandbox.runtime: runsc` (gVisor), or give the contest a machine of its own."))
    return checks


def storage(info: Mapping[str, Any]) -> Check:
    """Whether a container starts without copying its image."""
    driver = str(info.get("Driver", "unknown"))
    if driver == "vfs":
        return Check("storage driver", "warn", "vfs copies the whole image for every container",
                     "Put Docker's data on ext4 or xfs, so that it can use overlay2.")
    return Check("storage driver", "ok", driver)


def cgroups(info: Mapping[str, Any]) -> Check:
    """Whether the engine believes that it can limit a container; ``limits`` tries it."""
    missing = [what for field, what in _LIMITS.items() if info.get(field) is False]
    silent = [what for field, what in _LIMITS.items() if info.get(field) is None]
    found = f"cgroup v{info.get('CgroupVersion', '?')}, driver {info.get('CgroupDriver', '?')}"
    if missing:
        return Check("cgroups", "fail", f"{found}: cannot limit {', '.join(missing)}",
                     "Boot the kernel with `cgroup_enable=memory swapaccount=1`, or use cgroup v2.")
    if silent:
        return Check("cgroups", "warn", f"{found}: the engine does not say whether it can limit {', '.join(silent)}",
                     "See below whether the limits that were tried hold.")
    return Check("cgroups", "ok", f"{found}: memory, swap, processes and CPU can be limited")


def runtimes(info: Mapping[str, Any], wanted: str | None) -> Check:
    """Which container runtimes there are, and whether the one asked for is among them."""
    if info.get("Runtimes") is None:
        state: State = "fail" if wanted else "warn"
        return Check("runtimes", state, "the engine does not say which it has", "Check `docker info`.")
    known = sorted(name for name in info["Runtimes"] if not name.startswith("io.containerd"))
    what = f"{', '.join(known) or 'none named'}; default {info.get('DefaultRuntime', '?')}"
    if wanted and wanted not in known:
        return Check("runtimes", "fail", f"{wanted} is asked for (sandbox.runtime) and not installed; there are {what}",
                     f"Install {wanted} and name it in daemon.json, or remove sandbox.runtime.")
    return Check("runtimes", "ok", what)


def runc(info: Mapping[str, Any]) -> Check:
    """The default runtime against known advisories."""
    text = str((info.get("RuncCommit") or {}).get("ID", ""))
    return advisories.judge("runc", text, advisories.RUNC)
