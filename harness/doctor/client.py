"""The way to the engine: whether one can be used, as whom, and whether the engine and the harness see the same things.

What is wrong is said as the commands say it: both read ``sandbox/docker/unreachable.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from docker import APIClient

from harness.doctor.check import Check
from harness.errors import EngineError, NoEngineError
from harness.sandbox.docker import client_config, shared_paths


def unusable(backend: Literal["auto", "docker", "process"], error: EngineError) -> Check:
    """An engine that is not there, which `auto` does without, or one that cannot be used."""
    if backend == "auto" and isinstance(error, NoEngineError):
        return Check("engine", "warn", f"{error.problem} Entries will run without isolation.", error.next_step)
    return Check("engine", "fail", error.problem, error.next_step)


def credentials() -> Check:
    """Whether what the docker command's file says of credentials can be used, before an image is pulled with them."""
    name, path = "registry credentials", client_config.config_file()
    problem = client_config.config_problem(path)
    if problem is not None:
        return Check(name, "warn", f"{path} {problem}", "Correct that file, or move it away.")
    missing = client_config.missing_helpers(path)
    if missing:
        named = ", ".join(f"{program} ({field})" for program, field in missing.items())
        return Check(name, "warn", f"{path} names credential helpers that are not on PATH: {named}, so no image can be pulled",
                     "Install them, or remove those fields from that file.")
    return Check(name, "ok", f"as {path} says" if path is not None else "none; images are pulled without")


def context() -> list[Check]:
    """Whether the docker command talks to another engine: its images are not the harness's."""
    found = client_config.context()
    if found is None:
        return []
    step = f"Set DOCKER_HOST={found.endpoint} to use that engine, or run `docker context use default`."
    return [Check("docker context", "warn",
                  f"the docker command uses the context {found.name} ({found.said_by}: {found.endpoint or 'which is not there'}), "
                  f"the harness {client_config.DEFAULT_SOCKET}: what one builds the other may not see",
                  step if found.endpoint else "Run `docker context use default`, or unset DOCKER_CONTEXT.")]


def shared(api: APIClient, place: Path) -> Check:
    """Whether the engine sees the directories that runs get."""
    name = "shared directories"
    try:
        found = shared_paths.problem(api, place)
    except EngineError as error:
        return Check(name, "warn", error.problem, error.next_step.replace("Run `harness doctor`.", "Run a container by hand."))
    if found is not None:
        return Check(name, "fail", found.problem, found.next_step)
    return Check(name, "ok", f"the engine sees the harness's files below {place.parent}")
