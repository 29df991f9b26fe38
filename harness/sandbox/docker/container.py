"""One submission's container: create, attach, start, watch, kill, remove. Each at most once, and each within a bound."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Self, TypeVar

from docker import APIClient
from docker.errors import APIError, NotFound

from harness.event_log import facts
from harness.sandbox.docker import failures
from harness.sandbox.docker.client import ENGINE_FAILURES, explain
from harness.sandbox.docker.freezer import Freezer
from harness.sandbox.docker.options import Start, container_config
from harness.sandbox.docker.stream import AttachedStream
from harness.sandbox.docker.usage import CgroupSampler
from harness.sandbox.outcomes import Ending
from harness.sandbox.protocol import LineReader
from harness.sandbox.running import NotStartedError, ResourceUsage, State
from harness.sandbox.tail import LogTail
from harness.sandbox.watch import Verdict, Watch

_T = TypeVar("_T")
_LOG = logging.getLogger(__name__)

#: Freezing by the engine fails now and then ("unable to freeze", once in 1,360 batches on cgroup v1) and works when asked again.
_FREEZE_TRIES = 3
#: How long a killed container may take to disappear: the kernel frees a large one's memory first.
_GONE_S = 10.0
#: Share of its limit of memory below which a program that the kernel ended for lack of memory may have kept it: under control
#: groups v2 an engine says "OOMKilled" too where the host ran out.
_NEAR = 0.8
#: How long the engine may take to notice that a program has ended: containerd-shim notifies it.
_NOTICED_S = 1.0
#: How much later than a line on stdout the engine may bring one that was printed to stderr before it.
_LATE_S = 0.01
#: How often the engine itself is asked whether a silent container still runs.
_ASK_EVERY_S = 2.0


class Container:
    """A started container. Use ``started`` to make one.

    Attributes:
        left: Whether it was found ended when it should stand or go on.
        memory_bytes: Its limit of memory.
    """

    def __init__(self, api: APIClient, ident: str, stdout: LogTail, stderr: LogTail, orphans: list[str]) -> None:
        self._api = api
        self._orphans = orphans
        self.ident = ident
        self.stdout, self.stderr = stdout, stderr
        self.stream: AttachedStream | None = None
        self.born = time.time()
        self._asked = time.monotonic()
        self.sampler, self.freezer = CgroupSampler(""), Freezer("")
        self.upper_directory: str | None = None
        self.memory_bytes = 0
        self.left = False
        self.began = time.monotonic()
        self._heard = False

    @classmethod
    def started(cls, api: APIClient, start: Start, orphans: list[str], reader: LineReader | None = None) -> Self:
        """Create, attach and start; the stdout of a served program goes to ``reader``.

        A container that cannot be removed at its end, because the engine is gone, is added to ``orphans``.

        Raises:
            NotStartedError: With the reason; nothing is left behind.
        """
        try:
            ident = api.create_container_from_config(container_config(start))["Id"]  # type: ignore[no-untyped-call]
        except ENGINE_FAILURES as error:
            raise NotStartedError(failures.of_create(error)) from error
        container = cls(api, ident, reader.log if reader else LogTail(), LogTail(), orphans)
        container.memory_bytes = start.limits.memory_bytes
        try:
            container.stream = AttachedStream(api, ident, reader.feed if reader else container.stdout.feed,
                                              container.stderr.feed, stdin=start.stdin)
            # Asked now because nothing but the end should be asked of a running container, see ``_drained``.
            data = (container._described().get("GraphDriver") or {}).get("Data") or {}
            container.upper_directory = data.get("UpperDir")
            container.began = time.monotonic()
            api.start(ident)
            container.sampler, container.freezer = CgroupSampler(ident), Freezer(ident)
        except ENGINE_FAILURES as error:
            container.remove()
            raise NotStartedError(failures.of_start(error)) from error
        except BaseException:  # Ctrl-C too: an unowned container would stay
            container.remove()
            raise
        return container

    def pump(self, timeout_s: float) -> None:
        """Take what the program prints."""
        if self.stream is not None:
            self.stream.pump(timeout_s)

    def take_log(self) -> None:
        """Take what it had printed before it was frozen.

        The engine brings stderr by another way than stdout, and later than an answer: a program that prints there is waited for.
        """
        self.pump(0)
        waited = self._heard and self.stderr.seen_bytes == 0
        self._heard = True
        while not waited:
            seen = self.stderr.seen_bytes
            self.pump(_LATE_S)
            waited = self.stderr.seen_bytes == seen

    def ended(self) -> bool:
        """Whether the program seems to have ended: it closed its streams, or the engine says so."""
        if self.stream is None or self.stream.ended:
            return True
        now = time.monotonic()
        if now - max(self._asked, self.stream.last_data) < _ASK_EVERY_S:
            return False
        self._asked = now
        with contextlib.suppress(*ENGINE_FAILURES):
            return not self._drained(self._described)["State"]["Running"]
        return True

    def settle(self, watch: Watch) -> State | Verdict:
        """What the engine says of a program that has closed its streams; keeps watching one that only closed them."""
        pause = 0.002
        while True:
            try:
                state = self._drained(self._described)["State"]
            except NotFound:
                return Verdict(Ending.HOST_ERROR, "The container was removed from outside the harness.")
            except ENGINE_FAILURES as error:
                return Verdict(Ending.HOST_ERROR, f"The Docker engine went away during the run ({explain(error)}).")
            if not state["Running"] and state["Status"] != "created":
                peak = self.sampler.peak_memory_bytes
                return State(int(state["ExitCode"]), bool(state.get("OOMKilled")), wall_s=engine_seconds(state),
                             within_memory=peak is not None and peak < _NEAR * self.memory_bytes)
            verdict = watch.look()
            if verdict is not None:
                return verdict
            time.sleep(pause)
            pause = min(2 * pause, 0.1)

    def kill(self) -> Verdict | None:
        """Kill it and wait until it is gone. None on success, otherwise why it failed."""
        try:
            # A refusal means that it has just ended by itself; whether it runs is asked below in any case.
            with contextlib.suppress(APIError):
                self._drained(lambda: self._api.kill(self.ident))
            if self.freezer.frozen:
                # Not every engine looks whether somebody else froze it; the signal waits for it, so nothing more is computed.
                self.freezer.thaw()
            deadline = time.monotonic() + _GONE_S
            while self._drained(self._described)["State"]["Running"]:
                if time.monotonic() > deadline:
                    return Verdict(Ending.HOST_ERROR, "The engine did not kill the container.")
                time.sleep(0.005)
        except NotFound:
            return Verdict(Ending.HOST_ERROR, "The container was removed from outside the harness.")
        except ENGINE_FAILURES as error:
            return Verdict(Ending.HOST_ERROR, f"The Docker engine went away during the run ({explain(error)}).")
        return None

    def judge(self, state: State) -> Verdict | None:
        """Whether it ran out of memory, was killed from outside, or never was the submission's program."""
        if state.out_of_memory:
            return Verdict(Ending.MEMORY_LIMIT, "The kernel's out-of-memory killer ended a process of the program.")
        if state.exit_code == 0:
            return None
        return (failures.killed_by_others(self._api, self.ident, self.born, time.time())
                or failures.of_refused_program(state.exit_code, self.stdout.text(), self.stderr.text()))

    def send(self, data: bytes, timeout_s: float) -> bool:
        """Write to its stdin."""
        return self.stream is not None and self.stream.send(data, timeout_s)

    def freeze(self) -> Verdict | None:
        """Freeze all its processes; one that has exited counts as frozen."""
        if self.freezer.freeze():
            if not self.freezer.emptied():
                return None
            self.freezer.thaw()
            if self._has_ended(_GONE_S):
                return None
            return Verdict(Ending.HOST_ERROR, "The container's control group is empty, and the engine says that it runs.")
        verdict = None
        for _ in range(_FREEZE_TRIES):
            verdict = self._asked_for(lambda: self._api.pause(self.ident))
            if verdict is None or self._has_ended(_NOTICED_S):
                return None
        return verdict

    def thaw(self) -> Verdict | None:
        """Thaw it; an exited container is not an error."""
        if self.freezer.frozen and self.freezer.thaw():
            return None
        verdict = self._asked_for(lambda: self._api.unpause(self.ident))
        return None if verdict is not None and self._has_ended(_NOTICED_S) else verdict

    def held_bytes(self) -> int:
        """Memory that stays taken while it is frozen."""
        return self.sampler.held_bytes()

    def use(self) -> ResourceUsage:
        """CPU seconds and peak memory at the last sample."""
        return ResourceUsage(self.sampler.cpu_s, self.sampler.peak_memory_bytes)

    def layer_bytes(self) -> int | None:
        """The size of its writable layer, as the engine counts it (slow: it walks); None where it does not say."""
        with contextlib.suppress(*ENGINE_FAILURES):
            for found in self._api.containers(all=True, size=True, filters={"id": self.ident}):
                return int(found.get("SizeRw") or 0)
        return None

    def remove(self) -> None:
        """Kill if necessary, and remove; never raises. A container that stays is removed later."""
        if not removed(self._api, self.ident):
            self._orphans.append(self.ident)
            _LOG.warning("A container could not be removed; it will be tried again.", extra=facts(container=self.ident[:12]))
        if self.stream is not None:
            self.stream.close()

    def _described(self) -> dict[str, Any]:
        described: dict[str, Any] = self._api.inspect_container(self.ident)
        return described

    def _has_ended(self, patience_s: float) -> bool:
        """Whether the engine says that it has ended, where it shall stand or go on and does not."""
        until = time.monotonic() + patience_s
        with contextlib.suppress(*ENGINE_FAILURES):
            while self._drained(self._described)["State"]["Running"]:
                if self.freezer.emptied() is False or time.monotonic() > until:
                    return False
                time.sleep(0.005)
            self.left = True
        return self.left

    def _asked_for(self, call: Callable[[], Any]) -> Verdict | None:
        try:
            self._drained(call)
        except ENGINE_FAILURES as error:
            return Verdict(Ending.HOST_ERROR, f"The Docker engine refused to freeze or thaw ({explain(error)}).")
        return None

    def _drained(self, call: Callable[[], _T]) -> _T:
        """Call the engine while reading what the container still prints.

        The engine holds a container's lock while it ends, until all that it printed was taken: waiting for the engine without
        reading would deadlock.
        """
        if self.stream is None or self.stream.ended:
            return call()
        answer: Future[_T] = Future()

        def work() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001 - handed over to the waiting thread
                answer.set_exception(error)

        threading.Thread(target=work, name="engine-call", daemon=True).start()
        while not answer.done():
            self.stream.pump(0.002, paced=False)
        return answer.result()


def removed(api: APIClient, ident: str) -> bool:
    """Remove a container with all its volumes; whether it is gone."""
    try:
        api.remove_container(ident, v=True, force=True)
    except NotFound:
        return True
    except ENGINE_FAILURES:
        return False
    return True


def engine_seconds(state: dict[str, Any]) -> float | None:
    """How long the engine says that it ran: by the wall clock, so only for want of something better."""
    # The engine writes nanoseconds, which Python does not read: seconds and six digits are kept.
    began, ended = (re.sub(r"(\.\d{6})\d*", r"\1", str(state.get(key))) for key in ("StartedAt", "FinishedAt"))
    try:
        return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()
    except (TypeError, ValueError):
        return None
