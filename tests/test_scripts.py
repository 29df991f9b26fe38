"""The shell around the package says what is missing in one sentence, and never does less than asked silently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import make

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = [*sorted((ROOT / "scripts").glob("*.sh")), ROOT / ".ci" / "run"]


def run(*command, **environment):
    return subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_it_is_a_program_without_syntax_errors(script):
    assert os.access(script, os.X_OK)
    assert run("bash", "-n", str(script)).stderr == ""


def test_no_python_is_one_sentence_and_exit_2():
    done = run("scripts/setup.sh", PYTHON="no-such-python")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "Python 3.11" in done.stderr


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="the environment of make setup is not here")
def test_without_an_engine_the_demo_says_that_nothing_isolates(tmp_path):
    done = run("scripts/images.sh", DOCKER_HOST=f"unix://{tmp_path}/absent.sock")
    assert (done.returncode, done.stdout) == (0, "process\n")
    assert "WITHOUT ISOLATION" in done.stderr


#: Lists one card of no such kind, and says how busy it is.
NVIDIA_SMI = """#!/bin/sh
case "$*" in
    *utilization*) echo "37, 512" ;;
    *) echo "0, GPU-0, Test Card, 550.1, 81920, 100, 1500" ;;
esac
"""


def test_the_gpu_check_plays_each_part_and_says_on_which_card(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "nvidia-smi").write_text(NVIDIA_SMI)
    (tmp_path / "bin" / "nvidia-smi").chmod(0o755)
    config = make.tournament(tmp_path / "contest", ("attack-darken", "defense-mean"), images=10)
    done = run("scripts/gpu_check.sh", "--config", str(config), "--kill-after", "2", "--out", str(tmp_path / "out"),
               PATH=f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", PYTHON=sys.executable)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "gpu_check.json").read_text())
    assert [card["name"] for card in found["cards"]] == ["Test Card"]
    # The attack, and the defense on the clean images and on what was made of them; four times.
    played = [(row["runs"], row["images"], row["finished"], row["gpu_memory_peak_mib"]) for row in found["parts"]]
    assert played == [(3, 30, True, 512)] * 4
    assert found["killed"] == "Its GPU memory was free at once."
    assert "Test Card (driver 550.1)" in done.stdout


def test_the_gpu_check_says_that_there_is_no_gpu(tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho No devices were found\nexit 6\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    done = run("scripts/gpu_check.sh", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}", PYTHON=sys.executable)
    assert (done.returncode, done.stderr) == (2, "There is no GPU here: nvidia-smi is absent, or lists none.\n")
