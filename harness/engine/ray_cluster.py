"""A Ray cluster as this machine joins it, and the machines that Ray says are in it. Nothing else of the harness imports Ray."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import EngineError

#: Earlier versions cannot require a token.
OLDEST = (2, 52)
NAMESPACE = "harness"
#: What makes a cluster ask for a token.
SECURE_STEP = ("Set RAY_AUTH_MODE=token here and, before `ray start`, on every machine, with the same token: `ray get-auth-token "
               "--generate` writes ~/.ray/auth_token, which you copy to each.")
_JOIN = "Run `ray start` on every machine, here as well (`ray start --head --num-cpus=0`), with the same token."
#: Where Ray notes the cluster that this machine belongs to.
_CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - Ray's choice
_CONNECT_S = 10.0


def named_machines(found: Sequence[Mapping[str, Any]], names: dict[str, str]) -> dict[str, Mapping[str, Any]]:
    """Machines that have CPUs, by a name of their own: the host's, with a part of Ray's id where several have it.

    A name, once given, is kept in ``names`` by Ray's id: who else is there with that host name changes nothing.
    """
    alive = [node for node in found if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    count = Counter(node["NodeManagerHostname"] for node in alive)
    taken = {names[node["NodeID"]] for node in alive if node["NodeID"] in names}
    for node in alive:
        host = node["NodeManagerHostname"]
        alone = count[host] == 1 and host not in taken
        names.setdefault(node["NodeID"], host if alone else f"{host}-{node['NodeID'][:6]}")
    return {names[node["NodeID"]]: node for node in alive}


def _refuse_silence(address: str) -> None:
    """Find out whether anything listens there: Ray itself tries for minutes.

    Raises:
        EngineError: Nobody does.
    """
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", "") or (_CURRENT.read_text(encoding="utf-8").strip() if _CURRENT.exists() else "")
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return  # Ray says what is wrong with it
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise EngineError(f"The Ray cluster {address} cannot be joined: nothing answers there ({error}).", _JOIN) from None


def _say_nothing(*_: object, **__: object) -> None:
    """Stands for Ray's printing."""


def connected(address: str) -> Any:  # noqa: ANN401 - Ray's module, which is an extra
    """Ray, as a part of that cluster; whoever asks calls its ``shutdown``.

    Raises:
        EngineError: There is no such cluster, or anybody could use it.
    """
    try:
        version = importlib.metadata.version("ray")
    except importlib.metadata.PackageNotFoundError:
        raise EngineError("`workers.engine: ray` needs the package ray, which is not installed.",
                          "Install it with `pip install 'harness[ray]'`.") from None
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < OLDEST:
        raise EngineError(f"Ray {version} is too old: its ports accept commands from anyone.",
                          f"Install Ray {OLDEST[0]}.{OLDEST[1]} or newer on every machine.")
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token":
        raise EngineError("Ray would run without a token: whoever can reach its ports could run any code.", SECURE_STEP)
    _refuse_silence(address)
    import ray  # noqa: PLC0415 - an extra, and a second

    mine = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        said = str(error).strip().split("\n", 1)[0]
        raise EngineError(f"The Ray cluster {address} cannot be joined: {said}.", _JOIN) from None
    finally:
        # Ray prints what happens to machines in the middle of our screen, where we report it ourselves; there is no option.
        vars(sys.modules["ray._private.worker"])["print_to_stdstream"] = _say_nothing
        # Ray installs its own handlers, which would end the command in the middle of a record.
        if threading.current_thread() is threading.main_thread():
            for number, handler in mine.items():
                signal.signal(number, handler)
    return ray


def there_alone(node_id: str) -> Any:  # noqa: ANN401 - of Ray's module, which is an extra
    """Ray's word for: on that machine or nowhere."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - an extra

    return NodeAffinitySchedulingStrategy(node_id, soft=False)
