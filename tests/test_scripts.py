"""The shell around the package says what is missing in one sentence, and never does less than asked silently."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

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
