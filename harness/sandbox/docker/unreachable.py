"""Why no Docker engine can be used: facts in, the known cause and the next step out.

Pure, and one table, read from the top: the commands and `harness doctor` say the same of the same host. A failure that no row
matches is given in the client's own words. ``client.py`` gathers the facts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

#: The client's default.
DEFAULT_SOCKET = "/var/run/docker.sock"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a failed attempt to reach an engine.

    Attributes:
        said: The client's own words, one line.
        kinds: Names of the exceptions' classes, causes included.
        status: The HTTP status that somebody answered with.
        host: DOCKER_HOST.
        socket: The unix socket's path; empty for an address of another kind.
        socket_is: What lies at that path.
        group: Of the socket.
        member: Whether the user is in that group, but not this login: a group counts from the next one on.
        other_sockets: Sockets of a rootless engine or of Docker Desktop, where the default one is not used.
        tls: The variables that ask for TLS.
        cert_dir: Where its certificates are looked for.
        certs_missing: Which of them cannot be read.
        context: The context that the `docker` command uses instead.
        context_endpoint: That context's address; empty where the context is not there.
        context_said_by: The variable or file that chooses it.
        config: The `docker` command's file.
        config_problem: What is wrong with that file.
        proxy: The variable that sends the request to a proxy.
        ssh_library: Whether the client can speak SSH.
        timeout_s: How long an answer is waited for.
    """

    said: str = ""
    kinds: frozenset[str] = frozenset()
    status: int | None = None
    host: str = ""
    socket: str = ""
    socket_is: str = "absent"
    group: str = ""
    member: bool = False
    other_sockets: tuple[str, ...] = ()
    tls: tuple[str, ...] = ()
    cert_dir: str = ""
    certs_missing: tuple[str, ...] = ()
    context: str = ""
    context_endpoint: str = ""
    context_said_by: str = ""
    config: str = ""
    config_problem: str = ""
    proxy: str = ""
    ssh_library: bool = True
    timeout_s: float = 30

    @property
    def named(self) -> str:
        """The engine's address with the place that says it."""
        if self.host:
            return f"DOCKER_HOST names {self.host!r}"
        return f"DOCKER_HOST is not set, so {DEFAULT_SOCKET} is used"

    @property
    def clear(self) -> str:
        """How to return to this host's engine."""
        return "unset DOCKER_HOST to use this host's engine" if self.host else "set DOCKER_HOST to the engine's address"

    @property
    def ssh(self) -> bool:
        """Whether it is reached over SSH."""
        return self.host.strip().startswith("ssh://")

    @property
    def failed_alone(self) -> bool:
        """Whether nothing was sent to anybody."""
        return self.kinds <= {"DockerException", "ValueError"}

    @property
    def no_listener(self) -> bool:
        """Whether nobody listens there."""
        return bool(self.kinds & {"ConnectionRefusedError", "FileNotFoundError"})


class Cause(NamedTuple):
    """A row: how it is known, the sentence and the step (``str.format`` with the facts as ``f``).

    ``absent``: no engine is there at all, so that ``auto`` may continue without; any other failure is no reason to continue.
    """

    name: str
    holds: Callable[[Facts], bool]
    sentence: str
    step: str
    absent: bool = False


def _said(pattern: str) -> Callable[[Facts], bool]:
    found = re.compile(pattern, re.IGNORECASE)
    return lambda facts: found.search(facts.said) is not None


def _kind(*names: str) -> Callable[[Facts], bool]:
    return lambda facts: bool(facts.kinds & set(names))


_TLS_STEP = "Set DOCKER_CERT_PATH to the directory with ca.pem, cert.pem and key.pem, or unset {tls} where the engine wants no TLS."
_ENGINE_LOG = "Read the engine's log (`journalctl -u docker`) and restart it (`systemctl restart docker`)."

CAUSES: tuple[Cause, ...] = (
    # Faults before any connection.
    Cause("certificates", lambda f: bool(f.tls and f.certs_missing) and "TLSParameterError" in f.kinds,
          "TLS is enabled by {tls}, and {f.cert_dir} has no {certs_missing} that can be read.", _TLS_STEP),
    Cause("client configuration", lambda f: bool(f.config_problem) and not f.kinds & {"ConnectionError", "ReadTimeout"}
          and f.status is None,
          "The Docker client cannot be set up: {f.config} {f.config_problem}.", "Correct that file, or move it away."),
    Cause("SSH library", lambda f: f.ssh and not f.ssh_library,
          "DOCKER_HOST names {f.host!r}, an engine over SSH, and the Python library for it, paramiko, is not installed.",
          "Use this host's engine (unset DOCKER_HOST): one on another host does not see the directories that containers get. For "
          "an engine that does, install paramiko."),
    Cause("SSH identity", lambda f: f.ssh and _kind(
          "AuthenticationException", "PasswordRequiredException", "BadHostKeyException", "SSHException")(f),
          "The SSH server of DOCKER_HOST ({f.host!r}) or this user is not accepted ({f.said}).",
          "Make `ssh` to that host work without a prompt (its key in known_hosts, yours in an agent), or {f.clear}."),
    Cause("SSH", lambda f: f.ssh,
          "DOCKER_HOST names {f.host!r}, and no SSH server answers there ({f.said}).",
          "Correct the host in DOCKER_HOST, or {f.clear}."),
    Cause("address", lambda f: bool(f.host) and f.status is None and f.failed_alone,
          "DOCKER_HOST is {f.host!r}, which is not the address of an engine ({f.said}).",
          "Write unix:///PATH or tcp://HOST:PORT, or {f.clear}."),
    Cause("socket path", _said("AF_UNIX path too long"),
          "The path of the socket {f.socket!r} is too long for the kernel (107 bytes).", "Use a shorter path in DOCKER_HOST."),
    # The way to it.
    Cause("permission", lambda f: "PermissionError" in f.kinds and bool(f.socket) and f.member,
          "This user is in the group {f.group} of {f.socket}, but this login does not know it yet.",
          "Log out and in again, or run `newgrp {f.group}`."),
    Cause("permission", lambda f: "PermissionError" in f.kinds and bool(f.socket),
          "This user may not use the Docker engine's socket {f.socket}{of_group}.",
          "{join}, or run as root (both mean full rights on this host)."),
    Cause("no name", _kind("gaierror", "NameResolutionError"),
          "No Docker engine answers: DOCKER_HOST names {f.host!r}, whose host name cannot be resolved.",
          "Correct the host in DOCKER_HOST, or {f.clear}."),
    Cause("proxy", lambda f: bool(f.proxy) and (f.status is not None or bool(f.kinds & {"ProxyError", "JSONDecodeError"})),
          "DOCKER_HOST names {f.host!r}, and {f.proxy} sends what goes there to a proxy, which answers in the engine's place.",
          "Add that host to NO_PROXY, or {f.clear}."),
    # A socket of this host.
    Cause("no socket", lambda f: f.no_listener and bool(f.socket) and f.socket_is in {"directory", "file"},
          "{f.named}, and {f.socket} is a {f.socket_is}, not a socket.",
          "Start the engine (as root: `systemctl start docker`); a directory there was made by binding a socket that was absent."),
    Cause("context", lambda f: f.no_listener and bool(f.context and f.context_endpoint),
          "No Docker engine answers at {f.socket}: the docker command uses the context {f.context!r} ({f.context_said_by}), which "
          "the harness does not follow.",
          "Set DOCKER_HOST={f.context_endpoint} if that engine sees this host's directories, or start one here."),
    Cause("context", lambda f: f.no_listener and bool(f.context),
          "No Docker engine answers at {f.socket}, and the docker command's context {f.context!r} ({f.context_said_by}) is not "
          "there.",
          "Run `docker context use default` (or unset DOCKER_CONTEXT), and start the engine (`systemctl start docker`).",
          absent=True),
    Cause("other socket", lambda f: f.no_listener and bool(f.socket and f.other_sockets),
          "No Docker engine answers at {f.socket}, but there is a socket at {others}.",
          "Set DOCKER_HOST=unix://{f.other_sockets[0]} to use that engine.", absent=True),
    Cause("absent", lambda f: "FileNotFoundError" in f.kinds and bool(f.socket and f.host),
          "No Docker engine answers: DOCKER_HOST names {f.host!r}, and there is no {f.socket}.",
          "Correct DOCKER_HOST, or unset it for {default}; if that is right, start the engine.", absent=True),
    Cause("absent", lambda f: "FileNotFoundError" in f.kinds and bool(f.socket),
          "No Docker engine answers: there is no {f.socket}.",
          "Install one (`apt-get install docker.io`) and start it (`systemctl start docker`); DOCKER_HOST names one elsewhere.",
          absent=True),
    Cause("stopped", lambda f: f.no_listener and bool(f.socket),
          "No Docker engine answers: nothing listens at {f.socket}, which an engine that has ended left behind.",
          "Start it (`systemctl start docker`).", absent=True),
    # An address elsewhere.
    Cause("refused", lambda f: f.no_listener,
          "No Docker engine answers: DOCKER_HOST names {f.host!r}, and nothing listens there.",
          "Correct host and port (2375, with TLS 2376), start the engine there, or {f.clear}."),
    Cause("unreachable", lambda f: bool(f.kinds & {"ConnectTimeout", "ConnectTimeoutError"})
          or _said("no route to host|network is unreachable|host is down")(f),
          "No Docker engine answers: DOCKER_HOST names {f.host!r}, which cannot be reached ({f.said}).",
          "Correct the host, check the network, or {f.clear}."),
    # TLS.
    Cause("TLS wanted", _said(r"HTTP request to an HTTPS server|\\x15\\x03"),
          "The engine of DOCKER_HOST ({f.host!r}) speaks TLS, but no variable enables it.",
          "Set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH to the directory with ca.pem, cert.pem and key.pem."),
    Cause("TLS files", lambda f: bool(f.tls) and _said(
          r"PEM lib|NO_START_LINE|KEY_VALUES_MISMATCH|ASN1|BAD_BASE64|Could not find the TLS|NO_CERTIFICATE_OR_CRL")(f),
          "The certificates in {f.cert_dir} cannot be used ({f.said}).", _TLS_STEP),
    Cause("TLS trust", _said("CERTIFICATE_VERIFY_FAILED|hostname .* doesn't match|certificate is not valid for"),
          "ca.pem in {f.cert_dir} does not vouch for the certificate of the engine of DOCKER_HOST, {f.host!r} ({f.said}).",
          "Use the name that the certificate is made for, and its own ca.pem."),
    Cause("TLS not spoken", lambda f: bool(f.tls) and _said(
          "WRONG_VERSION_NUMBER|record layer failure|UNKNOWN_PROTOCOL|EOF occurred")(f),
          "TLS is enabled by {tls}, and what listens at {f.host!r} does not speak it.",
          "Correct the port (2376 with TLS), or unset {tls} if that engine has none."),
    Cause("TLS", lambda f: "SSLError" in f.kinds,
          "No TLS connection to the engine of DOCKER_HOST ({f.host!r}) can be made ({f.said}).", _TLS_STEP),
    # Something answers, or does not.
    Cause("too old", lambda f: "InvalidVersion" in f.kinds or _said("client version .* is too new")(f),
          "The Docker engine is too old for the harness ({f.said}).", "Install Docker 20.10 or newer."),
    Cause("client too old", _said("client version .* is too old|minimum supported API version"),
          "The Docker engine is too new for the Python library docker ({f.said}).", "Upgrade it: `pip install --upgrade docker`."),
    Cause("hangs", _kind("ReadTimeout", "ReadTimeoutError", "TimeoutError"),
          "The Docker engine is there ({where}) and did not answer within {f.timeout_s:g} s.", _ENGINE_LOG),
    Cause("plugin", lambda f: f.status == 403,  # noqa: PLR2004 - HTTP
          "The Docker engine refuses this user's requests ({f.said}).", "Check its authorization plugin, or run as root."),
    Cause("fails", lambda f: f.status is not None and f.status >= 500,  # noqa: PLR2004 - HTTP
          "The Docker engine returned an error ({f.said}).", _ENGINE_LOG),
    Cause("no engine", lambda f: f.status is not None or bool(f.kinds & {"BadStatusLine", "JSONDecodeError", "KeyError"}),
          "What listens at {where} is not a Docker engine ({f.said}).", "Correct DOCKER_HOST, or unset it for {default}."),
    Cause("hangs up", _kind("RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"),
          "What listens at {where} closes the connection without an answer.",
          "Check whether that is an engine, and one without TLS; read its log (`journalctl -u docker`)."),
)
_UNKNOWN = Cause("unknown", lambda _: True, "No Docker engine can be used ({f.said}).",
                 "Run `docker version` to see more; {f.clear} if that is wrong.")

#: Failures of later calls to an engine that answered, as sentences.
_SHORT = (
    ({"ReadTimeout", "ReadTimeoutError", "TimeoutError"}, "it accepted the request and did not answer in time"),
    ({"FileNotFoundError"}, "its socket is gone"),
    ({"ConnectionRefusedError"}, "nothing listens at its address any more"),
    ({"PermissionError"}, "this user may not use its socket any more"),
    ({"RemoteDisconnected", "ConnectionResetError", "BrokenPipeError", "IncompleteRead"}, "it closed the connection"),
)


def cause(facts: Facts) -> Cause:
    """The row that holds, its sentence and step filled in."""
    row = next((row for row in CAUSES if row.holds(facts)), _UNKNOWN)
    words = {
        "f": facts, "tls": " and ".join(facts.tls), "certs_missing": ", ".join(facts.certs_missing),
        "others": ", ".join(facts.other_sockets), "default": DEFAULT_SOCKET, "where": facts.socket or repr(facts.host),
        "of_group": f", which belongs to the group {facts.group}" if facts.group else "",
        "join": f"Join the group (`usermod -aG {facts.group} USER`) and log in again" if facts.group else "Change its owner",
    }
    return row._replace(sentence=row.sentence.format(**words), step=row.step.format(**words))


def in_short(kinds: frozenset[str]) -> str | None:
    """A failed call in plain words, None where they are not known."""
    return next((words for names, words in _SHORT if kinds & names), None)
