"""The container's complete security configuration, as Docker API JSON.

Nobody else sets any of this: an image's own configuration is overridden wherever it could widen it. Written as the engine's
JSON and not through a helper library, so that what is reviewed here is what the engine gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.sandbox.base import Limits, Program
from harness.sandbox.docker import seccomp
from harness.sandbox.docker.images import ImageFacts

#: The user of the strict profile: "nobody" on every distribution, owner of nothing in any image.
STRICT_USER = "65534:65534"

#: Counted by the kernel per user, and so for every container of that user: queued signals (timers too) and POSIX message queues.
#: What one container may use of them stays far below what the host's own programs may.
_SIGNALS = 1024
_QUEUES = 0
_OPEN_FILES = 16384
#: Inodes of /tmp: the kernel memory of an inode is about 1 KiB, so this bounds it near 64 MiB.
_TMP_INODES = 65536
#: A volume that an image declares is covered by a small tmpfs: the engine would make an unbounded directory for it.
_VOLUME_BYTES = 64 << 20
#: Image environment that the dynamic linker or a GPU runtime hook on the *host* acts on (CVE-2025-23266 was one).
_DANGEROUS_PREFIXES = ("NVIDIA_", "LD_PRELOAD=", "LD_AUDIT=", "CUDA_VISIBLE_DEVICES=", "ROCR_", "HIP_VISIBLE")


@dataclass(frozen=True)
class Mount:
    """A host directory inside the container."""

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True)
class Start:
    """What to start and with what around it.

    Attributes:
        argv: The whole command line.
        mounts: Input and output, and the opponent's code where the program may read that.
        stdin: Whether the program gets one (served programs).
    """

    program: Program
    image: ImageFacts
    argv: Sequence[str]
    mounts: Sequence[Mount]
    limits: Limits
    gpu: str | None
    labels: Mapping[str, str]
    runtime: str | None = None
    stdin: bool = False


def command_line(program: Program, image: ImageFacts, arguments: Sequence[str]) -> list[str]:
    """What runs: a directory's entry point, or what the image starts, followed by the contract's arguments.

    As with ``docker run``, arguments replace a CMD that stands beside an ENTRYPOINT. Empty where the image starts nothing.
    """
    if program.code_dir is not None:
        return [f"./{program.entry_point}", *arguments]
    start = image.entrypoint or image.command
    return [*start, *arguments] if start else []


def container_config(start: Start) -> dict[str, Any]:
    """The engine's configuration of one submission's container."""
    strict = start.program.profile == "strict"
    config: dict[str, Any] = {
        "Image": start.image.ident,
        "Entrypoint": [start.argv[0]],
        "Cmd": list(start.argv[1:]),
        "User": STRICT_USER if strict else "0:0",
        "Env": _environment(start, "/tmp" if strict else "/root"),  # noqa: S108 - inside the container
        "Hostname": "sandbox",
        "Labels": dict(start.labels),
        "Healthcheck": {"Test": ["NONE"]},
        "NetworkDisabled": True,
        "AttachStdout": True, "AttachStderr": True, "Tty": False,
        "AttachStdin": start.stdin, "OpenStdin": start.stdin, "StdinOnce": start.stdin,
        "HostConfig": _host_config(start, strict),
    }
    if start.program.code_dir is not None:
        config["WorkingDir"] = "/code"
    return config


def _host_config(start: Start, strict: bool) -> dict[str, Any]:
    limits = start.limits
    # One size for all files: the strictest that no honest use of code, /tmp or output meets.
    file_size = max(limits.output_bytes, limits.layer_bytes, limits.tmp_bytes)
    host: dict[str, Any] = {
        "NetworkMode": "none",
        "IpcMode": "private",
        "Privileged": False,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", seccomp.option()],
        "ReadonlyRootfs": strict,
        "PidsLimit": limits.pids,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "NanoCpus": int(limits.cpus * 1e9),
        "ShmSize": limits.shm_bytes,
        "OomScoreAdj": 500,
        "Ulimits": [{"Name": name, "Soft": value, "Hard": value}
                    for name, value in (("nofile", _OPEN_FILES), ("core", 0), ("fsize", file_size), ("sigpending", _SIGNALS),
                                        ("msgqueue", _QUEUES))],
        "Tmpfs": _tmpfs(start),
        "Mounts": [{"Type": "bind", "Source": str(mount.source.resolve()), "Target": mount.target,
                    "ReadOnly": mount.read_only, "BindOptions": {"Propagation": "rprivate"}} for mount in start.mounts],
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "none"},
        "AutoRemove": False,
    }
    if start.runtime:
        host["Runtime"] = start.runtime
    if start.gpu is not None:
        # One device by index or UUID, never a count and never "all".
        host["DeviceRequests"] = [{"Driver": "", "DeviceIDs": [start.gpu], "Capabilities": [["gpu", "compute", "utility"]]}]
    return host


def _tmpfs(start: Start) -> dict[str, str]:
    tmp = start.limits.tmp_bytes
    taken = {mount.target for mount in start.mounts} | {"/tmp", "/dev/shm"}  # noqa: S108 - inside the container
    # exec: compilers of GPU kernels and pip build there and load what they built.
    found = {"/tmp": f"rw,nosuid,nodev,exec,mode=1777,size={tmp},nr_inodes={_TMP_INODES}"}  # noqa: S108
    for volume in start.image.volumes:
        path = "/" + volume.strip("/")
        if path not in taken:
            found[path] = f"rw,nosuid,nodev,mode=1777,size={min(tmp, _VOLUME_BYTES)},nr_inodes=4096"
    return found


def _environment(start: Start, home: str) -> list[str]:
    """The contract's variables, and the names (without a value) of what the image must not set."""
    threads = str(max(1, int(start.limits.cpus)))
    wanted = [f"HOME={home}", f"OMP_NUM_THREADS={threads}"]
    if start.gpu is None:
        # An unset variable means "all" to the NVIDIA runtime where an image looks like a CUDA one.
        wanted.append("NVIDIA_VISIBLE_DEVICES=void")
    given = {item.partition("=")[0] for item in wanted}
    for item in start.image.environment:
        name = item.partition("=")[0]
        if name not in given and f"{name}=".startswith(_DANGEROUS_PREFIXES):
            wanted.append(name)
    return wanted
