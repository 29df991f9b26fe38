"""The connection to the Docker engine, and its failures as our errors.

Nothing waits for the engine without a bound: an engine that hangs costs ``TIMEOUT_S`` and is a host error.
"""

from __future__ import annotations

import grp
import importlib.util
import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from http.client import BadStatusLine, HTTPException
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env
from requests.utils import get_environ_proxies, select_proxy
from urllib3.exceptions import HTTPError

from harness.errors import EngineError, NoEngineError
from harness.sandbox.docker import client_config, unreachable
from harness.untrusted_text import plain

#: Creating a container on a loaded host has been seen to take several seconds; an engine silent for longer is broken.
TIMEOUT_S = 30

#: All that a call to the engine raises when the engine, the connection or the host is at fault. ``OSError`` covers
#: requests' exceptions too.
ENGINE_FAILURES = (DockerException, HTTPError, HTTPException, OSError, ValueError)
#: What the client raises, beyond these, for a configuration file that it does not understand.
_NOT_UNDERSTOOD = (AttributeError, TypeError, LookupError)

_CERTIFICATES = ("ca.pem", "cert.pem", "key.pem")
_SAID_MAX = 300


def connect(slots: int = 32, timeout_s: int | None = None) -> APIClient:
    """A client for the engine that the environment names; safe for several threads.

    Raises:
        NoEngineError: There is none.
        EngineError: There is one that cannot be used, or the environment says something wrong.
    """
    try:
        # The version is asked for once, here, and proves that an engine answers.
        return APIClient(version="auto", timeout=timeout_s or TIMEOUT_S, max_pool_size=slots, **kwargs_from_env())
    except ENGINE_FAILURES as error:
        raise _failure(_facts(error)) from error
    except _NOT_UNDERSTOOD as error:
        facts = _facts(error)
        if not facts.config_problem:
            raise
        raise _failure(facts) from error


def engine_answers() -> bool:
    """Whether a Docker engine can be used here."""
    try:
        connect().close()
    except EngineError:
        return False
    return True


def described(api: APIClient) -> Mapping[str, Any]:
    """The engine's description of itself.

    Raises:
        EngineError: It does not answer; nothing may be concluded from that.
    """
    try:
        return api.info()
    except ENGINE_FAILURES as error:
        problem = f"The Docker engine failed to describe itself ({explain(error)})."
        raise EngineError(problem, "Read the engine's log (`journalctl -u docker`) and restart it.") from error


def explain(error: BaseException) -> str:
    """One line of what the engine said."""
    if isinstance(error, APIError):
        return plain(" ".join(str(error.explanation or error).split()))
    return unreachable.in_short(_kinds(error)) or plain(" ".join(str(error).split())) or type(error).__name__


def status_of(error: BaseException) -> int | None:
    """The HTTP status of an engine's refusal, None where it did not answer."""
    return error.status_code if isinstance(error, APIError) else None


def _failure(facts: unreachable.Facts) -> EngineError:
    row = unreachable.cause(facts)
    return (NoEngineError if row.absent else EngineError)(row.sentence, row.step)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it was made of; the client's libraries put some only among the arguments."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__ or found.__context__, *(part for part in found.args if isinstance(part, BaseException))]


def _kinds(error: BaseException) -> frozenset[str]:
    return frozenset(type(part).__name__ for part in _chain(error))


def _facts(error: BaseException) -> unreachable.Facts:
    """What can be observed here of why ``connect`` failed."""
    host = os.environ.get("DOCKER_HOST", "")
    status = next((found for found in map(status_of, _chain(error)) if found is not None), None)
    socket = _socket(host)
    tls = tuple(name for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH") if os.environ.get(name))
    certificates = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")  # noqa: PTH111 - without a home too
    context = client_config.context()
    config = client_config.config_file()
    socket_is, group, member = _socket_facts(socket)
    return unreachable.Facts(
        said=plain(_said(error), _SAID_MAX), kinds=_kinds(error), status=status, host=host, timeout_s=TIMEOUT_S,
        socket=socket, socket_is=socket_is, group=group, member=member, other_sockets=() if host else _other_sockets(),
        tls=tls, cert_dir=certificates,
        certs_missing=tuple(name for name in _CERTIFICATES if not os.access(f"{certificates}/{name}", os.R_OK)),
        context=context.name if context else "", context_endpoint=context.endpoint if context else "",
        context_said_by=context.said_by if context else "",
        config=str(config or ""), config_problem=client_config.config_problem(config) or "",
        proxy="" if socket else _proxy(host), ssh_library=importlib.util.find_spec("paramiko") is not None)


def _said(error: BaseException) -> str:
    """The engine's words, else the innermost: the outer ones repeat them, with addresses of objects."""
    chain = list(_chain(error))
    for part in (*(part for part in chain if isinstance(part, APIError)), *reversed(chain)):
        if isinstance(part, APIError):
            return explain(part)
        if isinstance(part, BadStatusLine):
            return ascii(part.args[0] if part.args else "")  # not HTTP: maybe another protocol
        if str(part) and not isinstance(part, KeyError | StopIteration):
            return " ".join((part.strerror if isinstance(part, OSError) and part.strerror else str(part)).split())
    return type(error).__name__


def _socket(host: str) -> str:
    host = host.strip()
    if not host:
        return unreachable.DEFAULT_SOCKET
    if not host.startswith(("unix:", "http+unix:")):
        return ""
    return "/" + host.partition(":")[2].lstrip("/") if host.partition(":")[2].strip("/") else unreachable.DEFAULT_SOCKET


def _socket_facts(path: str) -> tuple[str, str, bool]:
    """What lies there, its group, and whether the user is in that group without this login knowing it."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - may be empty
    except (OSError, ValueError) as error:
        return ("unreadable" if isinstance(error, PermissionError) else "absent"), "", False
    kind = ("socket" if stat.S_ISSOCK(facts.st_mode) else "directory" if stat.S_ISDIR(facts.st_mode) else "file")
    if not facts.st_mode & stat.S_IWGRP:
        return kind, "", False
    try:
        group, user = grp.getgrgid(facts.st_gid), pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return kind, "", False
    return kind, group.gr_name, user in group.gr_mem and facts.st_gid not in {os.getegid(), *os.getgroups()}


def _other_sockets() -> tuple[str, ...]:
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}")
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - without a home too
    known = (runtime / "docker.sock", home / ".docker/run/docker.sock", home / ".docker/desktop/docker.sock")
    found = []
    for path in known:
        try:
            if path.is_socket():
                found.append(str(path))
        except OSError:
            continue
    return tuple(found)


def _proxy(host: str) -> str:
    """The variable that sends requests to the engine to a proxy; never its value, which may hold a password."""
    url = host.replace("tcp://", "https://" if os.environ.get("DOCKER_TLS_VERIFY") else "http://", 1)
    try:
        used = select_proxy(url, get_environ_proxies(url))
    except ValueError:
        return ""
    names = (name for name, value in os.environ.items() if used and value == used and name.lower().endswith("_proxy"))
    return next(names, "")
