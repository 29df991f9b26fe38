"""An S3 server of its own for a test (moto's), which also fails when it is told to."""

from __future__ import annotations

import logging
import threading
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app  # type: ignore[attr-defined]
from werkzeug.serving import make_server

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass
class ObjectServer:
    """Answers as S3 does, but for what ``faults`` says.

    Attributes:
        faults: (method, status) of requests that fail next, in their order; others in between are served.
        requests: (method, path) of all that came.
        down: Whether every request fails.
        watch: Sees each request before it is served, and may say how it fails.
    """

    url: str = ""
    bucket: str = ""
    faults: list[tuple[str, str]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    down: bool = False
    watch: Callable[[dict[str, Any]], str | None] | None = None
    _application: Application | None = None

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        self.requests.append((method, environ["PATH_INFO"]))
        fault = self.faults.pop(0)[1] if self.faults and self.faults[0][0] == method else None
        if self.watch is not None:
            fault = self.watch(environ) or fault
        if self.down or fault:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(fault or "403 Forbidden", [("Content-Length", "0")])
            return [b""]
        return self._application(environ, start)

    def place(self, prefix: str = "contest") -> str:
        """A bucket's URL as a tournament file names it."""
        return f"s3://{self.bucket}/{prefix}"

    def new_bucket(self) -> None:
        self.faults.clear()
        self.requests.clear()
        self.down = False
        self.watch = None
        self.bucket = f"bucket-{uuid.uuid4().hex}"
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{self.bucket}", method="PUT")):
            pass

    def environment(self) -> dict[str, str]:
        return {"AWS_ENDPOINT_URL": self.url, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@contextmanager
def running() -> Iterator[ObjectServer]:
    server = ObjectServer(_application=DomainDispatcherApplication(create_backend_app))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    listening = make_server("127.0.0.1", 0, server, threaded=True)
    server.url = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
