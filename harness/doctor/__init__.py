"""What an organiser must know of a host before opening a contest.

Everything is checked, nothing is changed (leftovers only with ``clean``), and each finding is a ``Check``. Judgements are
pure functions of what was found; only this file and the trials in ``limits`` touch the engine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from docker import APIClient

from harness.config import TournamentConfig
from harness.doctor import client, database, engine, gpu, host, leftovers, limits, nodes
from harness.doctor.check import Check, State, usable
from harness.engine import host_memory as hostmemory
from harness.errors import EngineError
from harness.sandbox.docker.client import ENGINE_FAILURES, connect, described, explain
from harness.sandbox.docker.images import find
from harness.tournament.tournament import label_of

__all__ = ["BASE_IMAGES", "Check", "State", "examine", "usable"]

#: Made by docker/build.py; the sample entries name them.
BASE_IMAGES = ("localhost/harness-light:1", "localhost/harness-full:1")


def examine(config: TournamentConfig, *, clean: bool = False, everything: bool = False) -> list[Check]:
    """Check whether this host can run the tournament, and with a cluster whether each machine of it can.

    Args:
        config: What the tournament asks for; what it does not ask for can be missing without a failure.
        clean: Remove what killed harnesses left here, and this tournament's code images.
        everything: Of all tournaments on this engine.
    """
    checks = [*_host(config), *database.database(config), leftovers.areas(config.state, clean=clean)]
    info: Mapping[str, Any] | None = None
    if config.sandbox.backend == "process":
        checks.append(Check("engine", "warn", "not checked (sandbox.backend: process): entries run without isolation",
                            "Run strangers' entries with sandbox.backend: docker only."))
    else:
        checks.append(client.credentials())
        try:
            api = connect()
        except EngineError as error:
            checks.append(client.unusable(config.sandbox.backend, error))
        else:
            with contextlib.closing(api):
                try:
                    info = described(api)
                except EngineError as error:
                    checks.append(client.unusable(config.sandbox.backend, error))
                else:
                    checks += _engine(api, info, config, clean=clean, tournament=None if everything else label_of(config))
    checks += gpu.checks(config.workers.gpus, info, config.workers.require.gpu) if config.workers.engine == "local" else []
    return [*checks, *(nodes.examine_nodes(config, examine) if config.workers.engine == "ray" else [])]


def _host(config: TournamentConfig) -> list[Check]:
    cores = os.cpu_count() or 1
    slots = config.workers.slots if isinstance(config.workers.slots, int) else max(1, int(cores // config.sandbox.cpus))
    return [
        host.writable(config.state),
        host.room("disk of the state", config.state),
        host.decoders(),
        host.memory(slots, config.sandbox.memory, hostmemory.total_bytes()),
    ]


def _engine(api: APIClient, info: Mapping[str, Any], config: TournamentConfig, *, clean: bool,
            tournament: str | None) -> list[Check]:
    checks = [
        engine.version(info), *engine.security(info), engine.storage(info), engine.cgroups(info),
        engine.runtimes(info, config.sandbox.runtime), engine.runc(info), *client.context(),
        host.engine_room(str(info.get("DockerRootDir") or "")),
        host.clock(str(info.get("SystemTime", ""))),
    ]
    looks: list[tuple[str, Callable[[], list[Check]]]] = [
        ("shared directories", lambda: [client.shared(api, config.state / "work")]),
        ("limits", lambda: _limits(api)),
        ("base images", lambda: [_images(api)]),
        ("left containers", lambda: [leftovers.containers(api, clean=clean)]),
        ("code images", lambda: [leftovers.code_images(api, tournament, clean=clean)]),
    ]
    for name, look in looks:
        try:
            checks += look()
        except EngineError as error:
            checks.append(Check(name, "fail", error.problem, error.next_step))
        except ENGINE_FAILURES as error:
            checks.append(Check(name, "fail", f"the engine failed to answer ({explain(error)})",
                                "Read the engine's log (`journalctl -u docker`)."))
    return checks


def _limits(api: APIClient) -> list[Check]:
    light = find(api, BASE_IMAGES[0])
    if light is not None:
        return limits.tried(api, light.ident)
    return [Check("memory limit", "warn", "not tried: it needs the light base image", "Run `docker/build.py light`.")]


def _images(api: APIClient) -> Check:
    missing = [name for name in BASE_IMAGES if find(api, name) is None]
    if missing:
        return Check("base images", "warn", f"not here: {', '.join(missing)}", "Make them with `docker/build.py`.")
    return Check("base images", "ok", ", ".join(BASE_IMAGES))
