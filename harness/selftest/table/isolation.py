"""Programs that look for what they must not see, and reach for what they must not touch."""

from __future__ import annotations

from harness.sandbox.outcomes import Outcome
from harness.selftest.row import Row, Track, one_of

_OK = one_of(Outcome.OK)


def _hunt(name: str, tries: str, track: Track = "attack", program: str = "", **more: object) -> Row:
    return Row(name, tries, _OK, track=track, program=program, hunts=True, **more)  # type: ignore[arg-type]


def _both_profiles(name: str, tries: str, track: Track = "attack") -> tuple[Row, Row]:
    """As root with a layer of its own, and as nobody on a read-only root."""
    return (_hunt(name, tries, track), _hunt(f"{name}-strict", f"{tries}, as an unprivileged user", track, f"{name}.py",
                                             profile="strict"))


ROWS = (
    *_both_profiles("hunts-files", "searches every file that it can name for the labels, the database and other entries"),
    *_both_profiles("hunts-environment", "searches the environments and command lines of all processes"),
    *_both_profiles("hunts-descriptors", "looks for files and directories that the runtime left open (as CVE-2024-21626 did)"),
    *_both_profiles("hunts-processes", "looks for other processes, their memory and their roots; traces them"),
    *_both_profiles("hunts-mounts", "looks at its mounts: for disks, neighbours, the number of its run; writes into its input"),
    *_both_profiles("hunts-the-network", "tries the host, DNS, the metadata address, the Docker socket, raw and other sockets"),
    *_both_profiles("hunts-with-system-calls", "tries mount, unshare, setns, ptrace, bpf, keyctl, io_uring, modules and 60 more"),
    *_both_profiles("hunts-for-channels", "looks for what it shares with other containers: cached pages, watches, queues, inodes"),
    *_both_profiles("hunts-in-proc-and-sys", "writes core_pattern, release_agent and other settings; reads disks and memory"),
    _hunt("overwrites-the-runtime", "overwrites the container runtime through /proc (as CVE-2019-5736 did)"),
    _hunt("changes-clocks-and-times", "sets the clock, and the times of files"),
    _hunt("leaves-notes", "leaves notes for its next run: files, shared memory, queues, sockets, daemons", "defense"),
    _hunt("leaves-notes-strict", "leaves notes for its next run, as an unprivileged user", "defense", "leaves-notes.py",
          profile="strict"),
    _hunt("reads-the-page-cache", "reads back which files of its image were read before it", "defense"),
    _hunt("tells-the-attack", "looks for anything beside pixels that says which attack made its input", "defense",
          check="same_facts"),
    _hunt("hunts-as-a-defense", "searches as a defense what it searches as an attack", "defense", "hunts-files.py"),
    Row("control-of-the-hunters", "shows that the hunters see: what is planted in its sight, they find", _OK,
        finds=("a file", "an environment", "an open file", "another process", "a port", "an abstract socket")),
)
