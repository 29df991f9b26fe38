"""What the configuration of the `docker` command has to do with the harness: credential helpers, and its context.

The Python client reads the same file for the credentials of registries and knows nothing of contexts: where the command talks to
another engine than the harness, images that a person has just built seem missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker import auth
from docker.errors import DockerException, InvalidRepository
from docker.utils.config import find_config_file

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
#: Fields that are objects, and what their values are.
_OBJECTS: dict[str, type] = {"auths": dict, "credHelpers": str, "HttpHeaders": str, "proxies": dict}


@dataclass(frozen=True)
class Context:
    """Which engine the `docker` command talks to, where that is another one than the client's default.

    Attributes:
        name: Of the context.
        endpoint: The engine's address; empty where the context is not there.
        said_by: The variable or file that chooses it.
    """

    name: str
    endpoint: str
    said_by: str


def config_file() -> Path | None:
    """The file that is read, None where there is none."""
    found = find_config_file()
    return Path(str(found)) if found else None


def config_problem(path: Path | None) -> str | None:
    """What is wrong with the file, as the end of a sentence; None where nothing is."""
    if path is None or path.name == ".dockercfg":  # the old one is no JSON
        return None
    try:
        read = json.loads(path.read_bytes())
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    except ValueError as error:
        return f"is not JSON ({error})"
    return _malformed(read) if isinstance(read, dict) else "holds no JSON object"


def _malformed(read: dict[str, Any]) -> str | None:
    """Which field the client would stumble over."""
    wrong = None if isinstance(read.get("credsStore") or "", str) else "credsStore"
    for field, kind in _OBJECTS.items():
        value = read.get(field) or {}
        if not (isinstance(value, dict) and all(isinstance(each, kind) for each in value.values())):
            wrong = field
    try:
        if wrong is None:
            auth.AuthConfig.parse_auth(read.get("auths") or {}, raise_on_error=True)
    except (DockerException, ValueError, TypeError, LookupError, AttributeError):
        wrong = "auths"
    return f"has a value of the wrong type under {wrong}" if wrong else None


def missing_helpers(path: Path | None) -> dict[str, str]:
    """Credential helpers that the file names and PATH does not have: program -> the field that names it."""
    config = _read(path)
    fields = {str(config["credsStore"]): "credsStore"} if config.get("credsStore") else {}
    helpers = config.get("credHelpers")
    for registry, name in (helpers if isinstance(helpers, dict) else {}).items():
        fields.setdefault(str(name), f"credHelpers for {registry}")
    return {f"docker-credential-{name}": field for name, field in fields.items()
            if shutil.which(f"docker-credential-{name}") is None}


def credentials_problem(reference: str) -> tuple[str, str] | None:
    """Why no credentials are available for an image's registry: a sentence and a step; None where there is nothing wrong."""
    path = config_file()
    problem = config_problem(path)
    if problem is not None:
        return f"{path} {problem}", "Correct that file, or move it away."
    try:
        registry, _ = auth.resolve_repository_name(reference)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a helper that is not there is said below
            auth.load_config().resolve_authconfig(registry)
    except InvalidRepository:
        return None  # the name's fault
    except (DockerException, OSError, ValueError, LookupError, TypeError) as error:
        for program, field in missing_helpers(path).items():
            if program in str(error):
                return (f"{path} names the credential helper {program} ({field}), which is not on PATH",
                        f"Install {program}, or remove {field.partition(' ')[0]} from that file.")
        return (f"the credential helper that {path} names failed ({' '.join(str(error).split())})",
                "Log in to the registry again (`docker login`), or remove the helper from that file.")
    return None


def context() -> Context | None:
    """The context of the `docker` command where it matters: DOCKER_HOST goes before it, for the command as well."""
    if os.environ.get("DOCKER_HOST"):
        return None
    name, said_by = os.environ.get("DOCKER_CONTEXT", ""), "DOCKER_CONTEXT"
    path = config_file()
    if not name:
        name, said_by = str(_read(path).get("currentContext") or ""), f"currentContext in {path}"
    if name in {"", "default"}:
        return None
    folder = Path(os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111 - without a home too
    described = _read(folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json")
    try:
        endpoint = str(described["Endpoints"]["docker"]["Host"])
    except (LookupError, TypeError):
        endpoint = ""
    return None if endpoint == DEFAULT_SOCKET else Context(name, endpoint, said_by)


def _read(path: Path | None) -> dict[str, Any]:
    try:
        read = json.loads(path.read_bytes()) if path is not None else {}
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}
