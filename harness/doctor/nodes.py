"""Every machine of a cluster: each checks itself as the doctor does here, and its clock is compared with this one's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import __version__
from harness.config import TournamentConfig
from harness.doctor import host
from harness.doctor.check import Check
from harness.engine.ray_cluster import connected, named_machines, there_alone
from harness.engine.remote_node import own_root
from harness.errors import EngineError, StoreError
from harness.store.artifacts import open_blobs

#: Limits are tried in containers, and a machine may be busy with a round.
_PATIENCE_S = 300.0
_STEP = "`ray status` shows what the cluster has; look at that machine."


@dataclass(frozen=True)
class Look:
    """What a machine found out about itself."""

    version: str
    token: bool
    checks: tuple[Check, ...]


class Looker:
    """The process on a machine that checks it.

    Args:
        examine: Looks at the machine that it is called on.
        config: What the tournament asks for.
        cores: How many of the machine's it may use.
    """

    def __init__(self, examine: Callable[[TournamentConfig], list[Check]], config: TournamentConfig, cores: int) -> None:
        self._examine, self._config, self._cores = examine, config, cores

    def look(self) -> Look:
        """At everything."""
        config = self._config
        slots = config.workers.slots if config.workers.slots != "auto" else max(1, int(self._cores / config.sandbox.cpus))
        # What it keeps lies in a directory of its own, and the machines of a cluster are not asked for others.
        workers = config.workers.model_copy(update={"engine": "local", "slots": slots})
        here = config.model_copy(update={"state": own_root(), "workers": workers})
        place = config.store.artifacts or f"file:{config.state / 'artifacts'}"
        token = os.environ.get("RAY_AUTH_MODE", "").lower() == "token"
        return Look(__version__, token, (*self._examine(here), store(place)))

    def now(self) -> float:
        """By the clock there."""
        return time.time()


def examine_nodes(config: TournamentConfig, examine: Callable[[TournamentConfig], list[Check]]) -> list[Check]:
    """Have every machine of the tournament's cluster check itself; ``examine`` is what each calls."""
    try:
        ray = connected(config.workers.address)
    except EngineError as error:
        return [Check("cluster", "fail", error.problem, error.next_step)]
    try:
        found = named_machines(ray.nodes(), {})  # as a round that begins now names them
        if not found:
            return [Check("cluster", "fail", "no machine of it has CPUs for runs", "Run `ray start --address=HEAD:PORT` on some.")]
        words = ", ".join(f"{name} ({node['Resources']['CPU']:g} CPUs)" for name, node in found.items())
        asked = {name: _begin(ray, node, examine, config) for name, node in found.items()}
        return [Check("cluster", "ok", words), *(check for name, node in asked.items() for check in _hear(ray, name, *node))]
    finally:
        ray.shutdown()


def _begin(ray: Any, node: Mapping[str, Any], examine: Callable[[TournamentConfig], list[Check]],  # noqa: ANN401 - an extra
           config: TournamentConfig) -> tuple[Any, Any]:
    # Without CPUs of its own: a round may hold them all.
    looker = ray.remote(Looker).options(num_cpus=0, scheduling_strategy=there_alone(node["NodeID"]))
    actor = looker.remote(examine, config, int(node["Resources"]["CPU"]))
    return actor, actor.look.remote()


def _hear(ray: Any, name: str, actor: Any, asked: Any) -> list[Check]:  # noqa: ANN401 - an extra
    try:
        found: Look = ray.get(asked, timeout=_PATIENCE_S)
        before = time.time()
        there = ray.get(actor.now.remote(), timeout=_PATIENCE_S)
        after = time.time()
    except ray.exceptions.RayError as error:
        said = str(error).strip().split("\n")[-1]
        return [Check(f"{name}: node", "fail", f"it could not check itself ({said})", _STEP)]
    own = (judge_node(found), *found.checks, judge_difference(before, there, after))
    return [replace(check, name=f"{name}: {check.name}") for check in own]


def judge_node(found: Look) -> Check:
    """Whether the harness there is this one, and its part of the cluster asks for a token."""
    if found.version != __version__:
        what = f"it has harness {found.version}, and here is {__version__}"
        return Check("node", "fail", what, "Install one version everywhere.")
    if not found.token:
        return Check("node", "fail", "its Ray asks for no token",
                     "Set RAY_AUTH_MODE=token before `ray start` there.")
    return Check("node", "ok", f"harness {found.version}, and a token is asked for")


def judge_difference(before: float, there: float, after: float) -> Check:
    """How far a machine's clock is from this one's, asked for between two looks at this one; seconds since 1970."""
    apart, known_to = there - (before + after) / 2, (after - before) / 2
    what = f"{abs(apart):.2f} s {'ahead of' if apart > 0 else 'behind'} this machine's (known to {known_to:.2f} s)"
    if abs(apart) - known_to > host.CLOCK_SKEW_S:
        return Check("clock difference", "warn", what, "Synchronise the clocks (chrony or systemd-timesyncd); limits do not depend "
                     "on them, dates and traces do.")
    return Check("clock difference", "ok", what)


def store(place: str) -> Check:
    """Whether this machine sees the artifact store."""
    if place.startswith("file:"):
        path = Path(place.removeprefix("file:"))
        if path.is_dir():
            return Check("artifact store", "ok", place)
        return Check("artifact store", "warn", f"{path} is not on this machine",
                     "Name an object store, or a directory that every machine has, as store.artifacts.")
    try:
        open_blobs(place, own_root(), cached=False)
    except StoreError as error:
        return Check("artifact store", "fail", error.problem, error.next_step)
    return Check("artifact store", "ok", place)
