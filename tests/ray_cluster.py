"""A Ray cluster of several nodes on this machine, started by the test that wants it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.sandbox.output_area import unmount_leftovers

_MEMORY = 80 << 20


@dataclass
class RayCluster:
    """A head without CPUs, and nodes with one each."""

    address: str
    _cluster: Any
    #: Where the nodes' processes have their temporary files.
    scratch: str
    nodes: list[Any] = field(default_factory=list)

    def add(self, scratch: str | None = None) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", scratch or self.scratch)
            self.nodes.append(self._cluster.add_node(num_cpus=1, object_store_memory=_MEMORY))

    def remove(self, number: int) -> str:
        """Kill a node at once; its id."""
        node = self.nodes.pop(number)
        self._cluster.remove_node(node, allow_graceful=False)
        return str(node.node_id)

    def process(self, number: int) -> psutil.Process:
        """What a node's workers are children of."""
        return psutil.Process(self.nodes[number].all_processes["raylet"][0].process.pid)

    def lose_head(self) -> None:
        """Kill Ray's own head process, which knows who is there."""
        self._cluster.head_node.kill_gcs_server(check_alive=False)

    def fill(self, count: int = 3) -> None:
        """As many nodes as a test begins with."""
        while len(self.nodes) < count:
            self.add()


ENVIRONMENT = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t" * 40, "RAY_USAGE_STATS_ENABLED": "0",
               # Or it ends a node where the machine's memory runs low, whoever uses that.
               "RAY_memory_monitor_refresh_ms": "0",
               # How soon the head of the cluster takes a node for lost that does not answer.
               "RAY_health_check_period_ms": "1000", "RAY_health_check_timeout_ms": "2000",
               "RAY_health_check_failure_threshold": "2"}


@contextmanager
def running(environment: Mapping[str, str], count: int = 3) -> Iterator[RayCluster]:
    """A cluster whose nodes have what such an environment leads to."""
    before = dict(os.environ)
    os.environ.update({**ENVIRONMENT, **environment})
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={
        "num_cpus": 0, "include_dashboard": False, "object_store_memory": _MEMORY})
    try:
        with tempfile.TemporaryDirectory(prefix="ray-nodes-", ignore_cleanup_errors=True) as scratch:
            found = RayCluster(cluster.address, cluster, scratch)
            found.fill(count)
            yield found
            cluster.shutdown()
            # Of nodes that were killed: where they come back, the next call removes it, and these do not.
            unmount_leftovers(Path(scratch))
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
