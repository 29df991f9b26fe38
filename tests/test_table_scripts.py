"""The programs that print tables of an export: what is no export is told in one sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.mark.parametrize("name", ["photos_tables", "gred_tables", "f1_2022"])
def test_a_directory_that_is_no_export_is_told(tmp_path: Path, name: str) -> None:
    done = subprocess.run([sys.executable, SCRIPTS / f"{name}.py", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{tmp_path} is not what `harness export DIR` writes" in done.stderr
    assert "Traceback" not in done.stderr
