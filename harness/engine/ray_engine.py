"""Several machines as one engine: Ray starts one process on each, which holds a node, and tells when a machine is gone.

Ray does nothing else: slots, back-off and attempts are ours, and it retries nothing. Jobs go out in groups, one call a
node, and what ended comes back from one call that waits, so that the scheduler's thread is not held up by short runs.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.engine.awaited_images import AwaitedImages
from harness.engine.base import SlotView
from harness.engine.far_node import FarNode, trouble, why_it_did_not_begin, without_image
from harness.engine.ray_cluster import NAMESPACE, connected, named_machines, there_alone
from harness.engine.remote_node import Duty, RemoteNode
from harness.engine.trace import Span
from harness.errors import EngineError, HarnessError, ImageUnavailableError
from harness.event_log import facts
from harness.execution.job import Finished, Job, RunResult, Slot
from harness.sandbox.base import RunReport
from harness.sandbox.outcomes import Ending, Outcome
from harness.store.recorder import SlotFacts
from harness.store.stored_images import StoredImages

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
#: At once on a node: one that waits for results, those of its start and end, and short ones.
_CALLS = 8

_LOG = logging.getLogger(__name__)


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
        self._images = AwaitedImages(images) if images is not None else None
        self._nodes: dict[str, FarNode] = {}
        self._coming: dict[str, FarNode] = {}
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
        if self._images is not None:
            job = self._images.named(job)
        able = [node for node in self._nodes.values() if node.cannot(job) is None]
        node = min(able, key=lambda node: node.misfit(job), default=None)
        if node is None:
            some = next(iter(self._nodes.values()))
            self._done.append(Finished(job, some.slots[0], without_image(job, some, self._nodes.values())))
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

    def _hear(self, node: FarNode) -> None:
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
                    self._images.hold(node, finished)
                else:
                    self._end(node, finished)

    def _end(self, node: FarNode, finished: Finished) -> None:
        """An image that one machine lacks is that machine's fault, and the submission's only where all lack it."""
        job, result = finished.job, finished.result
        del node.in_flight[job.run_id, job.attempt]
        if result.lacking or result.outcome is Outcome.IMAGE_MISSING:
            if node.cannot(job) is None:
                _LOG.warning("A node cannot get an image.", extra=facts(
                    node=node.name, submission=job.name, image=result.lacking, reason=result.report.detail))
            node.lacks[result.lacking or job.program.digest] = result
            finished = replace(finished, result=without_image(job, node, self._nodes.values()))
        elif result.outcome is Outcome.HOST_ERROR:
            node.failed.add(job.run_id)
        else:
            node.has |= {job.program.digest, job.input_digest, *job.images}
        self._done.append(finished)

    def _release(self) -> None:
        """Give out again what was kept for an image that is there now."""
        for node, finished, error in self._images.settled() if self._images is not None else ():
            job = finished.job
            if (job.run_id, job.attempt) not in node.in_flight:
                continue  # it was lost with its node
            if error is None:
                node.outbox.append(job)
            elif isinstance(error, ImageUnavailableError):
                self._end(node, finished)
            elif isinstance(error, HarnessError):
                self._end(node, replace(finished, result=replace(
                    finished.result, outcome=Outcome.HOST_ERROR, report=RunReport(Ending.HOST_ERROR, detail=str(error)))))
            else:
                raise error

    def _lose(self, node: FarNode, error: Exception) -> None:
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

    def _begun(self, name: str, found: Mapping[str, Any]) -> FarNode:
        called = f"{self._duty.label} on {found['NodeID']} "
        for old in self._ray.util.list_named_actors():
            if old.startswith(called):  # of a head that was killed a moment ago, and that it still waits for
                with contextlib.suppress(ValueError):  # it is gone by itself
                    self._ray.kill(self._ray.get_actor(old, NAMESPACE))
        has = found["Resources"]
        remote = self._ray.remote(RemoteNode).options(
            name=f"{called}{os.urandom(4).hex()}", namespace=NAMESPACE, lifetime="detached", max_restarts=0, max_task_retries=0,
            max_concurrency=_CALLS, num_cpus=has["CPU"], num_gpus=has.get("GPU", 0),
            scheduling_strategy=there_alone(found["NodeID"]))
        actor = remote.remote(self._duty, name, int(has["CPU"]))
        return FarNode(name, actor, asked=actor.about.remote())

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
                self._useless[node.name] = why_it_did_not_begin(error)
                continue
            self._nodes[node.name] = node
            self._lost.pop(node.name, None)
            if why := trouble(node.about) or ("" if self._fits(node) else "it has no GPU, but others have"):
                self._dismiss(node, why)
                continue
            self.removed += [f"{what} on {node.name}" for what in node.about.removed]
            if node.about.remark:
                self.remarks.append(f"node {node.name}: {node.about.remark}")
            if self._tell_facts is not None:
                for known in node.about.facts:
                    self._tell_facts(known)
            _LOG.info("A node is there.", extra=facts(node=node.name, slots=[slot.name for slot in node.slots]))

    def _fits(self, node: FarNode) -> bool:
        return self._gpu is None or any(slot.gpu for slot in node.slots) == self._gpu

    def _dismiss(self, node: FarNode, why: str) -> None:
        _LOG.warning("A node is left out.", extra=facts(node=node.name, reason=why))
        del self._nodes[node.name]
        self._useless[node.name] = why
        with contextlib.suppress(Exception):  # it is gone already
            self._ray.kill(node.actor)
