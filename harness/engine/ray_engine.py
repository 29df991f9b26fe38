"""Several machines as one engine: Ray starts one process on each, which holds a node, and tells when a machine is gone.

Ray does nothing else: slots, back-off and attempts are ours, and it retries nothing. Jobs go out in groups, one call a
node, and what ended comes back from one call that waits, so that the scheduler's thread is not held up by short runs.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import logging
import math
import os
import re
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import __version__
from harness.engine.base import SlotView
from harness.engine.remote_node import About, Duty, RemoteNode, Report
from harness.engine.trace import Span
from harness.errors import EngineError, HarnessError, ImageUnavailableError
from harness.event_log import facts
from harness.execution.job import Finished, Job, RunResult, Slot
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending, Outcome
from harness.store.recorder import SlotFacts
from harness.store.stored_images import StoredImages

#: Earlier versions cannot require a token.
OLDEST = (2, 52)
NAMESPACE = "harness"
#: Seconds until a machine has brought up its node: a first import, a sweep, a Docker engine that is asked.
START_S = 120.0
#: How often returning nodes are looked for, and every node gets a heartbeat.
_LOOK_EVERY_S = 5.0
_BEAT_EVERY_S = 5.0
#: A call that waits for results comes back by then, so that what a slot does is never told much later.
_POLL_S = 1.0
_STOP_S = 60.0
#: Seconds without Ray's own head before the round ends: after a minute Ray ends this process, in the middle of whatever it does.
_HEAD_LOST_S = 20.0
_GLANCE_S = 1.0
#: Jobs that a node has beyond one per slot and one staged for each: being read back, or on their way.
_ON_THE_WAY = 2
#: At once on a node: one that waits for results, those of its start and end, and short ones.
_CALLS = 8

_HOW = ("Set RAY_AUTH_MODE=token here and, before `ray start`, on every machine, with the same token: `ray get-auth-token "
        "--generate` writes ~/.ray/auth_token, which you copy to each.")
_JOIN = "Run `ray start` on every machine, here as well (`ray start --head --num-cpus=0`), with the same token."
_MEMORY = "RAY_memory_monitor_refresh_ms"
#: Where Ray notes the cluster that this machine belongs to.
_CURRENT = Path("/tmp/ray/ray_current_cluster")  # noqa: S108 - Ray's choice
_CONNECT_S = 10.0
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class _Far:
    """A node as the head has it."""

    name: str
    actor: Any
    about: About | None = None
    asked: Any = None
    since: float = field(default_factory=time.monotonic)
    in_flight: dict[tuple[int, int], Job] = field(default_factory=dict)
    outbox: list[Job] = field(default_factory=list)
    report: Report = field(default_factory=lambda: Report((), {}, {}))
    out: set[str] = field(default_factory=set)
    #: Programs, images and inputs that it has performed, so has.
    has: set[str] = field(default_factory=set)
    #: Images (or programs, where an image has no id) that it cannot get, with what became of the run that asked for each.
    lacks: dict[str, RunResult] = field(default_factory=dict)
    #: Images that are being saved for it.
    awaits: Counter[str] = field(default_factory=Counter)
    #: Runs in which it failed.
    failed: set[int] = field(default_factory=set)

    @property
    def slots(self) -> tuple[Slot, ...]:
        return self.about.slots if self.about is not None else ()

    @property
    def usable(self) -> int:
        return len(self.slots) - len(self.out)

    @property
    def room(self) -> int:
        return 2 * self.usable + _ON_THE_WAY - len(self.in_flight) if self.usable else 0

    def cannot(self, job: Job) -> RunResult | None:
        """Why it cannot perform a job, None where it can for all that is known."""
        wanted = job.images | {job.program.digest}
        return next((why for image, why in self.lacks.items() if image in wanted), None)

    def misfit(self, job: Job) -> tuple[object, ...]:
        """How badly a job suits it: best where its program is open, then where image and input are; last where it failed."""
        opened = job.served and self.report.open_programs.get(job.program.digest, 0) > 0
        known = len(self.has & {job.program.digest, job.input_digest, *job.images})
        return (job.run_id in self.failed, any(self.awaits[image] for image in job.images), self.room <= 0, not opened, -known,
                -self.room)


class RayEngine:
    """A node on each machine of a Ray cluster that has CPUs for it.

    Args:
        duty: What each is told.
        address: Of the cluster; ``auto`` is the one that this machine belongs to.
        publish: Called with each job before it leaves: puts what a node has to fetch into the store.
        images: Docker images of this machine, for nodes that lack one; None where programs need none.

    Raises:
        EngineError: There is no such cluster, it asks for no token, or no node of it can work.
    """

    def __init__(self, duty: Duty, address: str, publish: Callable[[Job], None], images: StoredImages | None = None) -> None:
        self._ray = connected(address)
        self._duty = duty
        self._publish = publish
        self._images = images
        self._pulls: dict[str, tuple[str, ...]] = {}
        self._saving: dict[str, Future[None]] = {}
        self._held: list[tuple[_Far, Finished]] = []
        self._nodes: dict[str, _Far] = {}
        self._coming: dict[str, _Far] = {}
        self._useless: dict[str, str] = {}
        self._lost: dict[str, float] = {}
        self._names: dict[str, str] = {}
        self._done: list[Finished] = []
        self._stopped = False
        self._looked = 0.0
        self._ray_head = self._ray.get_runtime_context().gcs_address
        self._ray_head_heard = time.monotonic()
        self._gpu: bool | None = None
        self._tell_facts: Callable[[SlotFacts], None] | None = None
        self._tell_spans: Callable[[str, Sequence[Span]], None] | None = None
        self._beating = threading.Event()
        self.removed: list[str] = []
        self.remarks: list[str] = []
        try:
            self._start()
        except BaseException:  # Ctrl-C too: no actor may stay on any machine
            self.stop()
            raise
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    @property
    def slots(self) -> tuple[Slot, ...]:
        """Those of all nodes."""
        return tuple(slot for node in self._nodes.values() for slot in node.slots)

    def tell_facts(self, sink: Callable[[SlotFacts], None]) -> None:
        """Say what the slots are, now and of each node that comes later."""
        self._tell_facts = sink
        for node in self._nodes.values():
            for known in node.about.facts if node.about else ():
                sink(known)

    def tell_spans(self, sink: Callable[[str, Sequence[Span]], None]) -> None:
        """Say what every node's slots did, where the duty is to trace it."""
        self._tell_spans = sink

    def room(self) -> int:
        """Over all nodes. A job that only a full node can run waits there, and takes the place of another."""
        return max(0, sum(node.room for node in self._nodes.values()) - len(self._done))

    def submit(self, job: Job) -> None:
        """Give a job to the node that suits it best."""
        self._publish(job)
        if self._images is not None and job.images:
            for ident in job.images - self._pulls.keys():
                self._pulls[ident] = self._images.pull_names(ident)
            job = replace(job, pulls={ident: self._pulls[ident] for ident in job.images})
        able = [node for node in self._nodes.values() if node.cannot(job) is None]
        node = min(able, key=lambda node: node.misfit(job), default=None)
        if node is None:
            some = next(iter(self._nodes.values()))
            self._done.append(Finished(job, some.slots[0], _without_image(job, some, self._nodes.values())))
            return
        node.in_flight[job.run_id, job.attempt] = job
        node.outbox.append(job)

    def wait(self, timeout_s: float) -> list[Finished]:
        """Ended jobs of all nodes.

        Raises:
            Exception: A bug of ours on a node, as it was raised there.
        """
        self._look()
        self._release()
        for node in self._nodes.values():
            if node.outbox:
                node.actor.submit.remote(node.outbox)
                node.outbox = []
            if node.asked is None:
                node.asked = node.actor.wait.remote(_POLL_S)
        if not self._done and self._nodes:
            polls = {node.asked: node for node in self._nodes.values()}
            self._ray.wait(list(polls), num_returns=1, timeout=timeout_s)
            ready, _ = self._ray.wait(list(polls), num_returns=len(polls), timeout=0)
            for poll in ready:
                self._hear(polls[poll])
        found, self._done = self._done, []
        return found

    def _hear(self, node: _Far) -> None:
        asked, node.asked = node.asked, None
        try:
            node.report = self._ray.get(asked)
        except self._ray.exceptions.RayTaskError as error:
            raise error.as_instanceof_cause() from None
        except self._ray.exceptions.RayError as error:
            # Its process is gone, or what it answered: that stays on its machine where it is large.
            self._lose(node, error)
            return
        if self._tell_spans is not None:
            self._tell_spans(node.name, node.report.spans)
        for finished in node.report.finished:
            job = node.in_flight.get((finished.job.run_id, finished.job.attempt))
            if job is not None:
                finished = replace(finished, job=job)  # noqa: PLW2901 - the same, with what was not sent
                if finished.result.lacking and finished.result.outcome is Outcome.IMAGE_MISSING and self._images is not None:
                    self._hold(node, finished)
                else:
                    self._end(node, finished)

    def _end(self, node: _Far, finished: Finished) -> None:
        """An image that one machine lacks is that machine's fault, and the submission's only where all lack it."""
        job, result = finished.job, finished.result
        del node.in_flight[job.run_id, job.attempt]
        if result.lacking or result.outcome is Outcome.IMAGE_MISSING:
            if node.cannot(job) is None:
                _LOG.warning("A node cannot get an image.", extra=facts(
                    node=node.name, submission=job.name, image=result.lacking, reason=result.report.detail))
            node.lacks[result.lacking or job.program.digest] = result
            finished = replace(finished, result=_without_image(job, node, self._nodes.values()))
        elif result.outcome is Outcome.HOST_ERROR:
            node.failed.add(job.run_id)
        else:
            node.has |= {job.program.digest, job.input_digest, *job.images}
        self._done.append(finished)

    def _hold(self, node: _Far, finished: Finished) -> None:
        """Keep a run whose image nobody has stored yet, until this machine has."""
        ident = finished.result.lacking
        saving = self._saving.get(ident)
        if saving is None or (saving.done() and saving.exception() is None):  # it has been there, and is gone or was late
            self._saving[ident] = _begun(self._images.publish, ident)  # type: ignore[union-attr]
        node.awaits[ident] += 1
        self._held.append((node, finished))

    def _release(self) -> None:
        """Give out again what was kept for an image that is there now."""
        ready = [entry for entry in self._held if self._saving[entry[1].result.lacking].done()]
        for node, finished in ready:
            self._held.remove((node, finished))
            job, ident = finished.job, finished.result.lacking
            node.awaits[ident] -= 1
            if (job.run_id, job.attempt) not in node.in_flight:
                continue  # it was lost with its node
            error = self._saving[ident].exception()
            if error is None:
                node.outbox.append(job)
            elif isinstance(error, ImageUnavailableError):
                self._end(node, finished)
            elif isinstance(error, HarnessError):
                self._end(node, replace(finished, result=replace(
                    finished.result, outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail=str(error)))))
            else:
                raise error

    def _lose(self, node: _Far, error: Exception) -> None:
        detail = f"node {node.name} was lost"
        _LOG.warning("A node was lost.", extra=facts(node=node.name, runs=len(node.in_flight), reason=str(error).split("\n", 1)[0]))
        del self._nodes[node.name]
        self._lost[node.name] = time.monotonic()
        for known in node.about.facts if node.about is not None and self._tell_facts is not None else ():
            # Whoever looks from outside reads it there; what the slot was stays with the times that were measured on it.
            lost = json.dumps({**json.loads(known.facts), "lost": True})
            self._tell_facts(SlotFacts(known.name, max(time.time(), known.seen_at + 0.001), lost))  # type: ignore[misc]
        with contextlib.suppress(Exception):  # it may only be cut off: then it has to end before its machine is used again
            self._ray.kill(node.actor)
        for job in node.in_flight.values():
            self._done.append(Finished(job, node.slots[0], RunResult(
                outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail=detail), node_lost=True)))

    def open_programs(self) -> Mapping[str, int]:
        """How many programs each submission (by digest) has open, on all nodes."""
        found: Counter[str] = Counter()
        for node in self._nodes.values():
            found.update(node.report.open_programs)
        return found

    def close_programs(self) -> None:
        """Close every open program that no run uses."""
        with contextlib.suppress(self._ray.exceptions.RayActorError):
            self._ray.get([node.actor.close_programs.remote() for node in self._nodes.values()])

    def rest(self, slot: Slot, seconds: float) -> None:
        """Give a slot no work for a while."""
        node = self._nodes.get(slot.node)
        if node is not None:
            node.actor.rest.remote(slot, seconds)
            if math.isinf(seconds):
                node.out.add(slot.name)

    def usable_slots(self) -> int:
        """Slots of living nodes that are not out for good."""
        return sum(node.usable for node in self._nodes.values())

    def view(self) -> list[SlotView]:
        """What every slot did when its node last said so."""
        views = []
        for node in self._nodes.values():
            jobs = {run: job for (run, _), job in node.in_flight.items()}
            for slot in node.slots:
                run, since, resting = node.report.slots.get(slot.name, (None, 0.0, False))
                job = jobs.get(run) if run is not None else None
                views.append(SlotView(slot, job, since if job is not None else 0.0, resting))
        return views

    def absent(self) -> Mapping[str, str]:
        """Nodes that were lost and have not come back."""
        now = time.monotonic()
        return {name: f"lost {now - when:.0f} s ago; its runs restarted elsewhere" for name, when in self._lost.items()}

    def stop(self) -> None:
        """End every node and leave the cluster."""
        if self._stopped:
            return
        self._stopped = True
        self._beating.set()
        everybody = [*self._nodes.values(), *self._coming.values()]
        closing = [node.actor.close.remote() for node in everybody]
        if closing:
            self._ray.wait(closing, num_returns=len(closing), timeout=_STOP_S)
        for node in everybody:
            with contextlib.suppress(Exception):  # it is gone already
                self._ray.kill(node.actor)
        self._ray.shutdown()

    def _beat(self) -> None:
        """Also while the scheduler's thread is busy with something else."""
        while not self._beating.wait(_BEAT_EVERY_S):
            for node in (*self._nodes.values(), *self._coming.values()):
                with contextlib.suppress(Exception):  # whoever waits for its results finds out
                    node.actor.hear.remote()

    def _start(self) -> None:
        self._look(now=True)
        until = time.monotonic() + START_S
        while self._coming and time.monotonic() < until:
            self._welcome(1.0)
        for name in self._coming:
            self._useless[name] = "it did not start in time: something else may use its CPUs"
        # With a GPU anywhere, runs are made with a GPU everywhere: the same image, and times that compare.
        self._gpu = any(slot.gpu for slot in self.slots)
        for node in [node for node in self._nodes.values() if not self._fits(node)]:
            self._dismiss(node, "it has no GPU, but others have")
        if not self._nodes:
            reasons = "; ".join(f"{name}: {why}" for name, why in self._useless.items()) or "no machine of it has CPUs for runs"
            raise EngineError(f"No node of the Ray cluster is usable: {reasons}", "`ray status` shows what the cluster has.")
        self.remarks += [f"node {name} is left out: {why}" for name, why in self._useless.items()]

    def _look(self, *, now: bool = False) -> None:
        """Begin on machines that are new, or back."""
        if self._coming:
            self._welcome(0.0)
        if not now and time.monotonic() - self._looked < _LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        if not self._ray_answers():
            return
        there = {name: found for name, found in named_machines(self._ray.nodes(), self._names).items()
                 if name not in self._nodes and name not in self._coming and name not in self._useless}
        for name, found in there.items():
            self._coming[name] = self._begun(name, found)

    def _ray_answers(self) -> bool:
        """Whether Ray's own head does: what is asked of it otherwise takes until it does. Jobs and results do without it.

        Raises:
            EngineError: It has not for so long that Ray is about to end this process.
        """
        host, _, port = self._ray_head.rpartition(":")
        try:
            socket.create_connection((host, int(port)), _GLANCE_S).close()
        except OSError as error:
            silent = time.monotonic() - self._ray_head_heard
            _LOG.warning("Ray's head does not answer.", extra=facts(address=self._ray_head, seconds=silent, reason=str(error)))
            if silent < _HEAD_LOST_S:
                return False
            raise EngineError(f"The head of the Ray cluster, {self._ray_head}, no longer answers ({error}).",
                              "Start Ray again on every machine, then `harness run` again; nothing recorded is lost.") from None
        self._ray_head_heard = time.monotonic()
        return True

    def _begun(self, name: str, found: Mapping[str, Any]) -> _Far:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415 - an extra

        called = f"{self._duty.label} on {found['NodeID']} "
        for old in self._ray.util.list_named_actors():
            if old.startswith(called):  # of a head that was killed a moment ago, and that it still waits for
                with contextlib.suppress(ValueError):  # it is gone by itself
                    self._ray.kill(self._ray.get_actor(old, NAMESPACE))
        has = found["Resources"]
        remote = self._ray.remote(RemoteNode).options(
            name=f"{called}{os.urandom(4).hex()}", namespace=NAMESPACE, lifetime="detached", max_restarts=0, max_task_retries=0,
            max_concurrency=_CALLS, num_cpus=has["CPU"], num_gpus=has.get("GPU", 0),
            scheduling_strategy=NodeAffinitySchedulingStrategy(found["NodeID"], soft=False))
        actor = remote.remote(self._duty, name, int(has["CPU"]))
        return _Far(name, actor, asked=actor.about.remote())

    def _welcome(self, timeout_s: float) -> None:
        asked = {node.asked: node for node in self._coming.values()}
        ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=timeout_s)
        for poll in ready:
            node = asked[poll]
            del self._coming[node.name]
            node.asked = None
            try:
                node.about = self._ray.get(poll)
            except self._ray.exceptions.RayError as error:
                self._useless[node.name] = _why_it_did_not_begin(error)
                continue
            self._nodes[node.name] = node
            self._lost.pop(node.name, None)
            if trouble := _trouble(node.about) or ("" if self._fits(node) else "it has no GPU, but others have"):
                self._dismiss(node, trouble)
                continue
            self.removed += [f"{what} on {node.name}" for what in node.about.removed]
            if node.about.remark:
                self.remarks.append(f"node {node.name}: {node.about.remark}")
            if self._tell_facts is not None:
                for known in node.about.facts:
                    self._tell_facts(known)
            _LOG.info("A node is there.", extra=facts(node=node.name, slots=[slot.name for slot in node.slots]))

    def _fits(self, node: _Far) -> bool:
        return self._gpu is None or any(slot.gpu for slot in node.slots) == self._gpu

    def _dismiss(self, node: _Far, why: str) -> None:
        _LOG.warning("A node is left out.", extra=facts(node=node.name, reason=why))
        del self._nodes[node.name]
        self._useless[node.name] = why
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(node.actor)


def _without_image(job: Job, node: _Far, nodes: Collection[_Far]) -> RunResult:
    """What becomes of a run whose image a node cannot get: others are asked, as long as there are any."""
    why = {other.name: other.cannot(job) for other in nodes}
    own = node.cannot(job)
    assert own is not None  # noqa: S101 - the caller's promise
    reasons = {name: found for name, found in why.items() if found is not None}
    everybody = len(reasons) == len(why)
    if everybody and all(found.outcome is Outcome.IMAGE_MISSING for found in reasons.values()):
        return own
    detail = f"node {node.name}: {own.report.detail}"
    if everybody:
        detail = f"No node can get the image of {job.name}: " + "; ".join(
            f"{name}: {found.report.detail}" for name, found in reasons.items())
    return RunResult(outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail=detail), notes=(detail,),
                     lacking=own.lacking, others_may=not everybody, nobody_can=everybody)


def _begun(work: Callable[[str], None], ident: str) -> Future[None]:
    """Work in a thread that does not hold up the end of the command, which may come while an image is saved."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work(ident)
        except Exception as error:  # noqa: BLE001 - the border of a thread: whoever asks for the result gets it
            future.set_exception(error)
        else:
            future.set_result(None)

    threading.Thread(target=run, name="save image", daemon=True).start()
    return future


def _why_it_did_not_begin(error: Exception) -> str:
    said = str(error).strip()
    if _MEMORY in said:  # Ray says how to change that, in a long text
        return (f"Ray killed its process because the machine ran low on memory; with {_MEMORY}=0 in the environment of `ray start` "
                "it does not, and the harness's own limits are left")
    return said.split("\n")[-1]


def _trouble(about: About) -> str:
    if not about.token:
        return f"its Ray asks for no token. {_HOW}"
    if about.version != __version__:
        return f"it has harness {about.version}, and here is {__version__}"
    return about.trouble


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
        raise EngineError("Ray would be spoken to without a token: whoever reaches its ports could run what he likes.", _HOW)
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
