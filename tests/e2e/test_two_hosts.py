"""Two machines for real, as far as the network knows: the script that anybody with root can run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, eventually

pytestmark = [pytest.mark.root, pytest.mark.alone]


def namespaces(script: subprocess.Popen[str]) -> list[str]:
    found = subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout.split()
    return [name for name in found if name.startswith("harness-") and name.endswith(f"-{script.pid}")]


@pytest.fixture
def script():
    before = set(Path("/var/tmp").glob("two-hosts-*"))
    with subprocess.Popen([ROOT / "scripts" / "two_hosts.sh"], env={**os.environ, "PYTHON": sys.executable}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        yield process
        process.terminate()
    assert namespaces(process) == []
    assert set(Path("/var/tmp").glob("two-hosts-*")) <= before


def test_a_round_across_two_hosts_has_the_tables_of_one(script) -> None:
    said = script.communicate(timeout=400)[0]
    assert script.returncode == 0, said
    assert "30 runs, on north and south." in said
    assert "The tables are those of one machine." in said


def test_it_leaves_nothing_behind_where_it_is_ended(script) -> None:
    assert eventually(lambda: any("south" in name for name in namespaces(script)))
    script.send_signal(signal.SIGTERM)
    script.communicate(timeout=60)
    assert script.returncode == 128 + signal.SIGTERM
