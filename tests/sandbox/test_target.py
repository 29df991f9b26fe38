"""What a white-box or grey-box attack sees of its opponent, in both sandboxes: that, read-only, and nothing more."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import threading
from pathlib import Path

import pytest

from harness.sandbox.base import Program, RunReport, RunRequest, Target
from harness.sandbox.outcomes import Ending
from harness.sandbox.output_area import OutputArea, remove_tree
from harness.sandbox.target import copy_target

from .conftest import LIMITS, Bench

pytestmark = pytest.mark.alone  # its limits are those of a host at rest

LOOK = """#!/usr/bin/env python3
import json, os, sys
def look(target):
    seen = {}
    for folder, folders, names in os.walk(target):
        for name in folders + names:
            path = os.path.join(folder, name)
            try: seen[os.path.relpath(path, target)] = open(path).read()
            except OSError as error: seen[os.path.relpath(path, target)] = type(error).__name__
    wrote = []
    for act in (lambda: open(target + '/whitebox.py', 'w').write('mine'), lambda: open(target + '/new', 'w').write('note'),
                lambda: os.unlink(target + '/metadata.json'), lambda: os.chmod(target + '/run.sh', 0o777),
                lambda: os.rename(target + '/base', target + '/elsewhere'), lambda: os.utime(target)):
        try: act()
        except OSError as error: wrote.append(error.errno)
        else: wrote.append(0)
    with open('/proc/self/mountinfo') as file: mounts = [line.split() for line in file]
    return {'target': target, 'seen': seen, 'wrote': wrote, 'beside': sorted(os.listdir(target + '/..')),
            'mounted': {m[4]: m[5].split(',')[0] for m in mounts if m[4] in ('/target', '/batches', '/input_images')}}
"""
ONCE = LOOK + "json.dump([sys.argv[3:], look(sys.argv[4])], open(sys.argv[2] + '/seen', 'w'))\n"
SERVED = LOOK + """print('{"ready": true}', flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    json.dump([[str(asked['epsilon']), asked['target']], look(asked['target'])], open(asked['output'] + '/seen', 'w'))
    print(json.dumps({'batch': asked['batch'], 'done': True}), flush=True)
"""


@pytest.fixture
def opponent(tmp_path) -> Path:
    """A frozen defense: its files are read-only, and one of its links leads out of the directory that a grey-box attack sees."""
    root = tmp_path / "frozen" / "opponent"
    (root / "base" / "nets").mkdir(parents=True)
    for name, text in {"metadata.json": "{}", "run.sh": "#!/bin/sh\n", "whitebox.py": "W", "secret.pt": "full weights",
                       "base/whitebox.py": "B", "base/nets/net.pt": "weights"}.items():
        (root / name).write_text(text)
        (root / name).chmod(0o555 if name == "run.sh" else 0o444)
    (root / "base" / "out.pt").symlink_to("../secret.pt")
    (tmp_path / "frozen" / "another").mkdir()
    (tmp_path / "frozen" / "another" / "whitebox.py").write_text("another's")
    (tmp_path / "labels.csv").write_text("1")
    return root


def stamp(root: Path) -> dict[str, tuple[int, int, bytes]]:
    return {str(path.relative_to(root)): (path.lstat().st_mode, path.lstat().st_mtime_ns,
                                          path.read_bytes() if path.is_file() else b"") for path in root.rglob("*")}


def seen_by(sandbox, bench, program: Program, *, served: bool) -> list:
    """What the program saw at its target."""
    if not served:
        report = bench.run(sandbox, program)
        assert (report.ending, report.exit_code) == (Ending.FINISHED, 0), report
        return json.loads(bench.whole["seen"])
    opened = sandbox.open(program, "attack", bench.root / "workspace", LIMITS, None, {})
    assert not isinstance(opened, RunReport), opened
    try:
        source = bench.root / "workspace" / "in" / "batch"
        source.mkdir()
        request = RunRequest(program, "attack", source, opened.output, 16, LIMITS, output_name="made")
        report = opened.serve(request, threading.Event())
        assert (report.ending, report.exit_code) == (Ending.FINISHED, 0), report
        return json.loads((request.output_dir / "seen").read_text())
    finally:
        opened.close()


class WholeBench(Bench):
    """Keeps outputs uncut."""

    whole: dict[str, str]

    def run(self, *arguments, **options) -> RunReport:
        def keep(area: OutputArea) -> None:
            self.whole = {path.name: path.read_text() for path in area.path.iterdir()}

        return super().run(*arguments, seen=keep, **options)


@pytest.fixture
def bench(request, tmp_path) -> WholeBench:
    uses_docker = "docker" in request.node.keywords
    return WholeBench(tmp_path, request.getfixturevalue("base_image") if uses_docker else None)


@pytest.mark.parametrize("served", [False, True], ids=["once", "served"])
@pytest.mark.parametrize("part", ["", "base"], ids=["white box", "grey box"])
def test_what_a_program_sees(sandbox, bench, opponent, tmp_path, part, served) -> None:
    program = bench.program(SERVED if served else ONCE)
    before = stamp(opponent)
    told, looked = seen_by(sandbox, bench, dataclasses.replace(program, target=Target("d" * 64, part, opponent)), served=served)
    assert told == ["16", looked["target"]], "one argument more, or one field"
    base = {"whitebox.py": "B", "nets": "IsADirectoryError", "nets/net.pt": "weights", "out.pt": "FileNotFoundError"}
    whole = {"metadata.json": "{}", "run.sh": "#!/bin/sh\n", "whitebox.py": "W", "secret.pt": "full weights",
             "base": "IsADirectoryError", **{f"base/{name}": text for name, text in base.items()}, "base/out.pt": "full weights"}
    assert looked["seen"] == (base if part else whole)
    assert stamp(opponent) == before, "whatever the program tried, the frozen code is as it was"
    assert not list(tmp_path.rglob("target*")), "nothing of the copy is left"
    if sandbox.isolates:
        assert looked["target"] == "/target"
        assert set(looked["wrote"]) <= {2, 30}, "all that is there is read-only"
        assert looked["mounted"] == {"/target": "ro", "/batches" if served else "/input_images": "ro"}
    else:
        assert looked["beside"] == ["code", "home", "owner", "target", "tmp"], "the copy is the run's own"


def test_a_program_without_a_target_is_told_of_none(sandbox, bench) -> None:
    bench.run(sandbox, bench.program("#!/bin/sh\necho $# > $2/count; test ! -e /target && echo none > $2/none"))
    assert bench.whole["count"] == "3\n"
    assert bench.whole.get("none", "none\n") == "none\n"


@pytest.mark.parametrize("target", [Target("d"), Target("d", "gone", Path("/")), Target("d", "../outside", Path(__file__).parent)],
                         ids=["nobody said where", "gone", "outside"])
@pytest.mark.parametrize("served", [False, True], ids=["once", "served"])
def test_code_that_is_not_there_is_the_hosts_fault(sandbox, bench, tmp_path, target, served) -> None:
    program = dataclasses.replace(bench.program(ONCE), target=target)
    report = sandbox.open(program, "attack", tmp_path / "workspace", LIMITS, None, {}) if served else bench.run(sandbox, program)
    assert isinstance(report, RunReport)
    assert report.ending is Ending.HOST_ERROR
    assert not list(tmp_path.rglob("target*"))


def test_a_copy_is_nobody_elses(opponent, tmp_path) -> None:
    """No inode of the frozen code: locks and watches on a shared one carry word to another run."""
    target = Target("d", "", opponent)
    for name, writable in (("one", True), ("other", False)):
        copy_target(target, tmp_path / name, writable=writable)
    inodes = [{(tmp_path / name / path).lstat().st_ino for path in stamp(opponent)} for name in ("one", "other", "frozen/opponent")]
    assert not (inodes[0] & inodes[1]) | (inodes[0] & inodes[2])
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "other").rglob("*") if not path.is_symlink()}
    assert modes == {0o444, 0o555}
    assert os.access(tmp_path / "other" / "run.sh", os.X_OK)
    remove_tree(tmp_path / "other")
    assert not (tmp_path / "other").exists()
