"""Why no engine can be used: each known cause has a sentence that names what is wrong and a step of its own.

The engines here are sockets of the test's own; no row needs Docker.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from harness import doctor
from harness.cli.main import cli
from harness.config import SandboxConfig, TournamentConfig, Workers
from harness.errors import EngineError, NoEngineError
from harness.sandbox.docker import client, client_config
from harness.sandbox.docker.unreachable import Facts, cause

Answer = Callable[[socket.socket], None]


def says(status: str, body: str) -> Answer:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda near: near.sendall((head + body).encode())


def raw(data: bytes) -> Answer:
    return lambda near: near.sendall(data)


@contextlib.contextmanager
def listening(listener: socket.socket, answer: Answer | None) -> Iterator[None]:
    """Answers every connection with the same; None: takes it and is silent."""
    listener.listen()
    held: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                held.append(near)
                if answer is not None:
                    with near:
                        near.recv(65536)
                        answer(near)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        for each in (listener, *held):
            each.close()
        thread.join()


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path) -> None:
    """Nothing of this host's own set-up."""
    for name in [name for name in os.environ if name.startswith("DOCKER_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(client, "TIMEOUT_S", 0.3)


class Row(NamedTuple):
    """What the environment says, and what has to be in the sentence and the step; ``{here}`` is the test's directory."""

    environment: dict[str, str]
    sentence: tuple[str, ...]
    step: str
    absent: bool = False


ENVIRONMENTS = {
    "no scheme that is known": Row(
        {"DOCKER_HOST": "garbage://x"}, ("DOCKER_HOST", "'garbage://x'", "not the address"), "unset DOCKER_HOST"),
    "a path": Row({"DOCKER_HOST": "/var/run/docker.sock"}, ("'/var/run/docker.sock'", "not the address"), "unix:///PATH"),
    "no port": Row({"DOCKER_HOST": "tcp://"}, ("'tcp://'", "not the address"), "tcp://HOST:PORT"),
    "a port that is no number": Row({"DOCKER_HOST": "tcp://localhost:abc"}, ("'abc'", "not the address"), "tcp://HOST:PORT"),
    "a port beyond all": Row({"DOCKER_HOST": "tcp://localhost:99999"}, ("99999", "not the address"), "tcp://HOST:PORT"),
    "half an address": Row({"DOCKER_HOST": "tcp://[::1"}, ("'tcp://[::1'", "not the address"), "tcp://HOST:PORT"),
    "Windows": Row({"DOCKER_HOST": "npipe:////./pipe/docker"}, ("npipe", "Windows"), "unix:///PATH"),
    "nobody at the port": Row({"DOCKER_HOST": "tcp://127.0.0.1:1"}, ("'tcp://127.0.0.1:1'", "nothing listens there"), "port"),
    "no such host": Row(
        {"DOCKER_HOST": "tcp://nowhere.invalid:2375"}, ("nowhere.invalid", "cannot be resolved"), "Correct the host"),
    "no such socket": Row({"DOCKER_HOST": "unix://{here}/absent.sock"}, ("DOCKER_HOST names", "there is no {here}/absent.sock"),
                          "unset it", absent=True),
    "a directory for a socket": Row({"DOCKER_HOST": "unix://{here}"}, ("{here} is a directory, not a socket",), "systemctl start"),
    "a file for a socket": Row({"DOCKER_HOST": "unix://{here}/file"}, ("{here}/file is a file, not a socket",), "systemctl start"),
    "a dead socket": Row(
        {"DOCKER_HOST": "unix://{here}/dead.sock"}, ("nothing listens at {here}/dead.sock",), "Start it", absent=True),
    "a long path": Row({"DOCKER_HOST": f"unix:///{'x' * 120}"}, ("too long",), "shorter path"),
    "SSH without its library": Row({"DOCKER_HOST": "ssh://me@there"}, ("'ssh://me@there'", "paramiko", "not installed"),
                                   "unset DOCKER_HOST"),
    "TLS without certificates": Row(
        {"DOCKER_TLS_VERIFY": "1"}, ("DOCKER_TLS_VERIFY", "{here}/home/.docker", "ca.pem, cert.pem, key.pem"),
                                    "DOCKER_CERT_PATH"),
    "TLS and a host without certificates": Row(
        {"DOCKER_TLS_VERIFY": "1", "DOCKER_HOST": "tcp://127.0.0.1:1"}, ("DOCKER_TLS_VERIFY", "ca.pem"), "unset DOCKER_TLS_VERIFY"),
    "a directory of certificates that is not there": Row(
        {"DOCKER_CERT_PATH": "{here}/nowhere"}, ("DOCKER_CERT_PATH", "{here}/nowhere"), "unset DOCKER_CERT_PATH"),
    "a key is missing": Row({"DOCKER_CERT_PATH": "{here}/half", "DOCKER_TLS_VERIFY": "1"}, ("{here}/half has no key.pem that",),
                            "DOCKER_CERT_PATH"),
    "certificates that are none": Row(
        {"DOCKER_CERT_PATH": "{here}/bad", "DOCKER_TLS_VERIFY": "1", "DOCKER_HOST": "tcp://{port}"},
        ("{here}/bad", "cannot be used"), "DOCKER_CERT_PATH"),
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_the_environment_says_wrong(name, tmp_path, monkeypatch) -> None:
    row = ENVIRONMENTS[name]
    (tmp_path / "file").write_text("")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    for folder, files in (("half", ("ca.pem", "cert.pem")), ("bad", ("ca.pem", "cert.pem", "key.pem"))):
        (tmp_path / folder).mkdir()
        for file in files:
            (tmp_path / folder / file).write_text("no certificate")
    listener = socket.create_server(("127.0.0.1", 0))
    with listening(listener, says("200 OK", "{}")):
        port = "{}:{}".format(*listener.getsockname())
        for variable, value in row.environment.items():
            monkeypatch.setenv(variable, value.replace("{here}", str(tmp_path)).replace("{port}", port))
        with pytest.raises(EngineError) as caught:
            client.connect()
    for words in row.sentence:
        assert words.replace("{here}", str(tmp_path)) in caught.value.problem
    assert row.step in caught.value.next_step
    assert isinstance(caught.value, NoEngineError) == row.absent


ANSWERS: dict[str, tuple[Answer | None, str, str]] = {
    "silence": (None, "did not answer within 0.3 s", "journalctl"),
    "hangs up": (raw(b""), "closes the connection without an answer", "TLS"),
    "another protocol": (raw(b"SSH-2.0-OpenSSH_9\r\n"), "not a Docker engine ('SSH-2.0", "DOCKER_HOST"),
    "TLS, by its bytes": (raw(b"\x15\x03\x01\x00\x02\x02"), "speaks TLS", "DOCKER_TLS_VERIFY=1"),
    "TLS, by its words": (
        says("400 Bad Request", "Client sent an HTTP request to an HTTPS server."), "speaks TLS", "DOCKER_CERT_PATH"),
    "a web page": (says("200 OK", "<html>"), "not a Docker engine", "Correct DOCKER_HOST"),
    "no such page": (says("404 Not Found", "no"), "not a Docker engine", "Correct DOCKER_HOST"),
    "a list": (says("200 OK", "{}"), "not a Docker engine", "Correct DOCKER_HOST"),
    "a failure": (says("500 Internal Server Error", '{"message": "the store is broken"}'), "the store is broken", "journalctl"),
    "a plugin's refusal": (says("403 Forbidden", '{"message": "authorization denied by plugin"}'), "refuses", "plugin"),
    "an old engine": (says("200 OK", '{"ApiVersion": "1.12"}'), "too old", "20.10"),
    "an old client": (
        says("400 Bad Request", '{"message": "client version 1.24 is too old. Minimum supported API version is 1.44"}'),
                      "too new", "pip install --upgrade docker"),
    "a terminal's codes": (
        says("500 Oops", '{"message": "\x1b]0;x\x07broken"}'.replace("\x1b", "\\u001b").replace("\x07", "\\u0007")),
                           "returned an error (broken)", "journalctl"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_listens_there(name, monkeypatch) -> None:
    answer, sentence, step = ANSWERS[name]
    listener = socket.create_server(("127.0.0.1", 0))
    with listening(listener, answer):
        monkeypatch.setenv("DOCKER_HOST", "tcp://{}:{}".format(*listener.getsockname()))
        with pytest.raises(EngineError) as caught:
            client.connect()
    assert sentence in caught.value.problem
    assert step in caught.value.next_step
    assert not isinstance(caught.value, NoEngineError)


ABSENT = Facts(kinds=frozenset({"FileNotFoundError"}), socket="/var/run/docker.sock")
TCP = Facts(host="tcp://engine:2376", tls=("DOCKER_TLS_VERIFY",), cert_dir="/certs")
REFUSED = frozenset({"PermissionError"})
#: What cannot be made on any host: facts, and words of the sentence and of the step.
KNOWN = {
    "no engine": (ABSENT, "there is no /var/run/docker.sock", "apt-get install docker.io"),
    "a context elsewhere": (replace(ABSENT, context="desktop", context_endpoint="unix:///d.sock", context_said_by="DOCKER_CONTEXT"),
                            "context 'desktop' (DOCKER_CONTEXT)", "DOCKER_HOST=unix:///d.sock"),
    "a context that is gone": (
        replace(ABSENT, context="old", context_said_by="currentContext in c"), "'old'", "docker context use default"),
    "a rootless engine": (replace(ABSENT, other_sockets=("/run/user/7/docker.sock",)), "/run/user/7/docker.sock",
                          "DOCKER_HOST=unix:///run/user/7/docker.sock"),
    "not in the group": (replace(ABSENT, kinds=REFUSED, group="docker"), "/var/run/docker.sock, which belongs to the group docker",
                         "usermod -aG docker"),
    "in the group since this login": (
        replace(ABSENT, kinds=REFUSED, group="docker", member=True), "does not know it yet", "Log out"),
    "a socket of nobody's": (replace(ABSENT, kinds=REFUSED), "may not use the Docker engine's socket", "run as root"),
    "a proxy answers": (Facts(host="tcp://engine:2375", status=503, proxy="HTTP_PROXY"), "HTTP_PROXY", "NO_PROXY"),
    "not trusted": (replace(TCP, said="[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", kinds=frozenset({"SSLError"})),
                    "ca.pem in /certs does not vouch", "ca.pem"),
    "another host's certificate": (replace(TCP, said="CERTIFICATE_VERIFY_FAILED: Hostname mismatch", kinds=frozenset({"SSLError"})),
                                   "Hostname mismatch", "name that the certificate is made for"),
    "no TLS there": (replace(TCP, said="[SSL: WRONG_VERSION_NUMBER] wrong version number", kinds=frozenset({"SSLError"})),
                     "DOCKER_TLS_VERIFY, and what listens at 'tcp://engine:2376' does not speak it", "2376 with TLS"),
    "no way": (
        Facts(host="tcp://10.0.0.1:2375", kinds=frozenset({"ConnectTimeout"}), said="timed out"), "cannot be reached", "network"),
    "no route": (
        Facts(host="tcp://10.0.0.1:2375", kinds=frozenset({"OSError"}), said="No route to host"), "cannot be reached", "network"),
    "SSH: a host that is not known": (
        Facts(host="ssh://u@h", kinds=frozenset({"SSHException"}), said="Server 'h' not found in known_hosts"),
                                      "not accepted", "known_hosts"),
    "SSH: nobody there": (
        Facts(host="ssh://u@h", kinds=frozenset({"ConnectionRefusedError"})), "no SSH server answers", "Correct the host"),
    "what nobody knows": (Facts(said="the moon is full"), "the moon is full", "docker version"),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_no_test_can_make(name) -> None:
    facts, sentence, step = KNOWN[name]
    row = cause(facts)
    assert sentence in row.sentence
    assert step in row.step
    assert row.absent == (name in {"no engine", "a context that is gone", "a rootless engine"})


CONFIGS = {
    "no JSON": ('{"auths":', "is not JSON"),
    "no object": ("[]", "holds no JSON object"),
    "auths": ('{"auths": 3}', "under auths"),
    "credentials that cannot be decoded": ('{"auths": {"r": {"auth": "!!"}}}', "under auths"),
    "credHelpers": ('{"credHelpers": {"r": 1}}', "under credHelpers"),
    "credsStore": ('{"credsStore": {}, "auths": {}, "x": 1}', None),
    "proxies": ('{"proxies": {"default": 5}}', "under proxies"),
    "headers": ('{"HttpHeaders": 5}', "under HttpHeaders"),
    "all in order": ('{"auths": {"r": {"auth": "YTpi"}}, "HttpHeaders": {"a": "b"}, "proxies": {"default": {}}}', None),
    "nothing": ("{}", None),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_docker_commands_file(name, tmp_path, monkeypatch) -> None:
    text, sentence = CONFIGS[name]
    (tmp_path / "config.json").write_text(text)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    found = client_config.config_problem(client_config.config_file())
    assert found is None if sentence is None else sentence in found
    # The client stumbles over some of them before it connects: never a traceback.
    with pytest.raises(EngineError):
        client.connect()
    check = doctor.client.credentials()
    assert check.state == ("ok" if sentence is None else "warn")
    assert sentence is None or (sentence in check.what and str(tmp_path) in check.what)


@pytest.mark.parametrize("config", [{"credsStore": "nowhere"}, {"credHelpers": {"registry.example": "nowhere"}}], ids=str)
def test_a_credential_helper_that_is_not_there(config, tmp_path, monkeypatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    sentence, step = client_config.credentials_problem("registry.example/x:1") or ("", "")
    assert "docker-credential-nowhere" in sentence
    assert str(tmp_path / "config.json") in sentence
    assert next(iter(config)) in sentence
    assert next(iter(config)) in step
    assert doctor.client.credentials().state == "warn"
    assert "docker-credential-nowhere" in doctor.client.credentials().what


def helper(folder: Path, text: str, monkeypatch) -> None:
    program = folder / "docker-credential-here"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    (folder / "config.json").write_text('{"credsStore": "here"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


@pytest.mark.parametrize(("text", "fails"), [
    ("echo 'the keyring is locked'; exit 1", True), ("echo no JSON", True), ("echo '{}'", True),
    ("echo 'credentials not found in native keychain'; exit 1", False), ("""echo '{"Username": "a", "Secret": "b"}'""", False)])
def test_a_credential_helper_that_fails(text, fails, tmp_path, monkeypatch) -> None:
    helper(tmp_path, text, monkeypatch)
    problem = client_config.credentials_problem("example/x:1")
    assert (problem is not None) == fails
    assert problem is None or str(tmp_path / "config.json") in problem[0]
    assert client_config.credentials_problem("-a.b/x") is None  # no name of an image: said elsewhere


@pytest.mark.parametrize(("environment", "current", "endpoint"), [
    ({}, "desktop", "unix:///d.sock"), ({"DOCKER_CONTEXT": "desktop"}, "", "unix:///d.sock"), ({"DOCKER_CONTEXT": "gone"}, "", ""),
    ({}, "default", None), ({"DOCKER_CONTEXT": "default"}, "desktop", None), ({"DOCKER_HOST": "tcp://x:1"}, "desktop", None)])
def test_the_docker_commands_context(environment, current, endpoint, tmp_path, monkeypatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": current}))
    meta = tmp_path / "contexts" / "meta" / sha256(b"desktop").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text('{"Name": "desktop", "Endpoints": {"docker": {"Host": "unix:///d.sock"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    found = client_config.context()
    assert (found.endpoint if found else None) == endpoint
    checks = doctor.client.context()
    assert len(checks) == (endpoint is not None)
    assert all(check.state == "warn" and check.next_step for check in checks)


def config(tmp_path: Path, backend: str) -> TournamentConfig:
    return TournamentConfig(name="t", dataset=tmp_path, state=tmp_path / "state", sandbox=SandboxConfig(backend=backend),  # type: ignore[arg-type]
                            workers=Workers(gpus="none"))


def test_the_doctor_and_the_commands_say_the_same(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tournament.yaml").write_text("name: t\ndataset: d\nsandbox: {backend: docker}\nworkers: {gpus: none}\n")
    for host, backend, state in (("tcp://127.0.0.1:1", "auto", "fail"), ("tcp://127.0.0.1:1", "docker", "fail"),
                                 (f"unix://{tmp_path}/absent.sock", "auto", "warn"), ("ssh://me@there", "docker", "fail")):
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(EngineError) as caught:
            client.connect()
        check = next(check for check in doctor.examine(config(tmp_path, backend)) if check.name == "engine")
        assert check.state == state
        assert check.what.startswith(caught.value.problem)
        assert check.next_step == caught.value.next_step
        for command in (["submit", "example/attack:1"], ["selftest", "--sandbox", "docker"]):
            with pytest.raises(EngineError) as told:
                cli.main(command, standalone_mode=False)
            assert caught.value.problem in told.value.problem
            assert caught.value.next_step in told.value.next_step


def test_an_engine_that_does_not_describe_itself_is_not_one_without_properties(tmp_path, monkeypatch) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(near: socket.socket) -> None:
        says("200 OK", '{"ApiVersion": "1.41"}')(near)

    with listening(listener, answer):
        monkeypatch.setenv("DOCKER_HOST", "tcp://{}:{}".format(*listener.getsockname()))
        api = client.connect()
        monkeypatch.setattr(type(api), "info", lambda _: (_ for _ in ()).throw(ValueError("cut short")))
        with contextlib.closing(api), pytest.raises(EngineError, match="describe itself"):
            client.described(api)
        checks = {check.name: check for check in doctor.examine(config(tmp_path, "docker"))}
    assert checks["engine"].state == "fail"
    assert "cgroups" not in checks
