"""Whose fault it is that a container did not start, or did not exit by itself, from the engine's messages.

The engine has no codes for it, only sentences, and they come from three programs (dockerd, containerd, runc). So the known
sentences are listed here, each with a test against a real engine; everything unknown is the host's fault, because such a run is
retried and never silently scored zero.
"""

from __future__ import annotations

import re
from typing import Any

from docker import APIClient

from harness.sandbox.docker.client import ENGINE_FAILURES, explain, status_of
from harness.sandbox.outcomes import Ending
from harness.sandbox.watch import Verdict

#: runc could not find or execute the program, before it replaced itself by it.
_NO_PROGRAM = re.compile(
    r"exec: \"|exec user process caused|starting container process caused.*exec|executable file not found"
    r"|exec \S.*: (no such file or directory|permission denied|exec format error|is a directory|not a directory)")
#: The image has something in place of our mount points.
_IN_THE_WAY = re.compile(
    r"error mounting .*(not a directory|read-only file system|outside of rootfs|file exists|too many levels of symbolic)"
    r"|mkdir \S*/merged/\S*: (not a directory|file exists)|chdir to cwd|workdir|unable to find user"
    # A WORKDIR that leads through /proc: such an image must not look like a broken host, run after run.
    r"|error during container init: mkdir \S*: (not a directory|file exists|no such file|permission denied|read-only)"
    r"|(mkdir|l?stat|open) \S*/overlay2/\S*: (not a directory|file exists|file name too long|too many levels of symbolic links)"
    r"|evalSymlinksInScope: too many links"
    r"|cannot be located inside /proc|is not in a safe procfs|current working directory is outside")
#: An engine elsewhere: the harness has just made what it is to bind.
_ELSEWHERE = re.compile(r"bind source path does not exist: (?P<path>.+)")
_HOST = re.compile(r"no space left|cannot allocate memory|resource temporarily unavailable|too many open files")

#: What runc prints into the program's own stderr when the kernel refuses the program after all was set up.
_REFUSED = re.compile(
    r"(standard_init_linux\.go:\d+: )?exec (user process caused: )?[^\n]*"
    r"(no such file or directory|exec format error|permission denied|invalid argument|is a directory|argument list too long)")
_SILENT = "The Docker engine did not answer"
_REFUSED_CODES = frozenset({1, 126, 127, 255})


def of_create(error: BaseException) -> Verdict:
    """Why a container could not be created."""
    detail = explain(error)
    if status_of(error) is None:
        return Verdict(Ending.HOST_ERROR, f"{_SILENT} ({detail}).")
    elsewhere = _ELSEWHERE.search(detail)
    if elsewhere:
        sentence = f"The Docker engine does not see {elsewhere['path']} of this host (`harness doctor` says what to do)."
        return Verdict(Ending.HOST_ERROR, sentence)
    if status_of(error) == 404 and "no such image" in detail.lower():  # noqa: PLR2004 - HTTP
        return Verdict(Ending.IMAGE_MISSING, detail)
    if status_of(error) is not None and not _HOST.search(detail) and _IN_THE_WAY.search(detail):
        return Verdict(Ending.START_FAILED, detail)
    return Verdict(Ending.HOST_ERROR, detail)


def of_start(error: BaseException) -> Verdict:
    """Why a container could not be started."""
    detail = explain(error)
    if status_of(error) is None:
        return Verdict(Ending.HOST_ERROR, f"{_SILENT} ({detail}).")
    if _HOST.search(detail):
        return Verdict(Ending.HOST_ERROR, detail)
    if _NO_PROGRAM.search(detail) or _IN_THE_WAY.search(detail):
        return Verdict(Ending.START_FAILED, detail)
    return Verdict(Ending.HOST_ERROR, detail)


def says_the_host(detail: str) -> bool:
    """Whether a sentence names something that the host has run out of, or an engine that is silent."""
    return _HOST.search(detail) is not None or _SILENT in detail


def of_refused_program(exit_code: int, stdout: str, stderr: str) -> Verdict | None:
    """Whether the kernel refused the program: CRLF in its first line, another architecture, no interpreter.

    A program can fake this sentence; it gains a ``start_failed``, and nothing that it wrote counts.
    """
    line = stderr.strip()
    if exit_code not in _REFUSED_CODES or stdout or "\n" in line or not _REFUSED.fullmatch(line):
        return None
    hint = ""
    if line.endswith("no such file or directory"):
        hint = " (the file exists: its first line names a missing interpreter, or ends in CR LF)"
    elif line.endswith("exec format error"):
        hint = " (no #! line, or made for another architecture)"
    return Verdict(Ending.START_FAILED, line + hint)


def killed_by_others(api: APIClient, ident: str, since: float, until: float) -> Verdict | None:
    """Whether the container was ended from outside: ``docker kill``, or an engine that shuts down.

    Without it an engine's stop in the middle of a tournament would count as the program's own exit code 137 or 143.

    Args:
        api: The engine.
        ident: The container.
        since: Wall clock before the container was created, as the engine's events are stamped with.
        until: Wall clock now.
    """
    wanted = {"container": [ident], "event": ["kill", "start"], "type": ["container"]}
    try:
        # Fractions of a second, which the engine takes and the client's types do not know: a whole one would have to lie in
        # the future to miss nothing, and the engine would wait for it.
        stream = api.events(since=f"{since - 1:.6f}", until=f"{until:.6f}",  # type: ignore[call-overload]
                            filters=wanted, decode=True)
        seen: list[dict[str, Any]] = list(stream)
    except ENGINE_FAILURES as error:
        return Verdict(Ending.HOST_ERROR, f"The engine went away as the program ended ({explain(error)}).")
    kills = [event for event in seen if str(event.get("Action", event.get("status"))).startswith("kill")]
    if kills:
        signal = (kills[0].get("Actor") or {}).get("Attributes", {}).get("signal", "?")
        return Verdict(Ending.HOST_ERROR, f"The container was killed from outside the harness (signal {signal}).")
    return None
