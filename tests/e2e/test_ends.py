"""Every command, every signal that ends it: the exit code, and nothing left of what it made."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.sandbox import owner
from tests.e2e.conftest import ROOT, eventually, kill_group

SLEEPERS = ("attack-slow", "defense-mean")
#: The command, and what shows that it is at work.
COMMANDS = {
    "run": (("run",), lambda place: place.started()),
    "validate": (("validate", "entries/attack-slow"), lambda place: place.started()),
    "selftest": (("selftest", "--sandbox", "process", "--only", "sleeps-ignoring-signals", "--time-limit", "60"),
                 lambda _: "harness-selftest-*/hostile/*/run-*"),
    "dataset build": (("dataset", "build", "digits", "--into", "made"), lambda place: list(place.root.glob(".made-*"))),
}
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 130, signal.SIGHUP: 129, signal.SIGQUIT: 131, signal.SIGUSR1: 138}
#: One road for all signals: what some of them show of the other commands, `run` shows of all.
CASES = [(name, number) for name in COMMANDS for number in SIGNALS
         if name == "run" or number not in {signal.SIGINT, signal.SIGUSR1}]
#: Whoever runs the tests may ignore some of them (`nohup`, a shell's background), which a command would respect.
FRESH = """import signal
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
    signal.signal(number, signal.SIG_DFL)
from harness.cli.main import main; main()"""


@pytest.mark.parametrize(("name", "number"), CASES, ids=lambda part: getattr(part, "name", part))
def test_a_signal_ends_it_and_nothing_is_left(make_place, name, number) -> None:
    words, at_work = COMMANDS[name]
    place = make_place(SLEEPERS)
    # Short: the self-test makes sockets below it.
    scratch = Path(tempfile.mkdtemp(prefix="h"))
    process = place.start(*words, code=FRESH, TMPDIR=str(scratch))
    try:
        place.until(lambda: at_work(place) if name != "selftest" else list(scratch.glob(at_work(place))), process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        kill_group(process)
    assert process.returncode == SIGNALS[number], err
    assert "Traceback" not in err
    assert place.leftovers() == []
    assert not list(place.root.glob(".made*"))
    assert list(scratch.iterdir()) == []
    scratch.rmdir()


#: Commands that are over in a moment: the function at which a test holds one, in the middle of what it writes.
HELD = {
    "submit": (("submit", "entries/attack-darken"), "harness.submission.code_tree", "copy"),
    "export": (("export", "out"), "harness.report.files.atomic", "csv_cell"),
    "dataset import": (("dataset", "import", "classes", "--into", "made", "--size", "8"),
                       "harness.dataset.write", "_write_metadata"),
}
HOLD = """import importlib, pathlib, time
module = importlib.import_module({module!r})
real = getattr(module, {function!r})
def held(*args, **named):
    done = real(*args, **named)
    pathlib.Path("at-work").touch()
    time.sleep(120)
    return done
setattr(module, {function!r}, held)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("name", HELD)
def test_a_signal_in_the_middle_of_a_file_leaves_no_half_of_it(make_place, copy_of_finished, name, number) -> None:
    words, module, function = HELD[name]
    place = copy_of_finished() if name == "export" else make_place(("attack-darken", "defense-mean"), images=10)
    for label in ("a", "b"):
        (place.root / "classes" / label).mkdir(parents=True)
        shutil.copy(place.root / "data" / "images" / "img-000.png", place.root / "classes" / label)
    before = files(place.root)
    process = place.start(*words, code=HOLD.format(module=module, function=function) + FRESH)
    try:
        place.until((place.root / "at-work").exists, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        kill_group(process)
    assert process.returncode == SIGNALS[number], err
    assert "Traceback" not in err
    assert place.leftovers() == []
    (place.root / "at-work").unlink()
    assert {path for path in files(place.root) - before if not path.startswith("state/")} == set()
    # What was there is whole, and the command can be called again.
    assert place.harness(*words).returncode == 0


#: One signal a command: that all of them take one road is shown above.
CONTAINERS = {
    "run": (("run",), signal.SIGHUP),
    "validate": (("validate", "entries/attack-slow", "--sandbox", "docker"), signal.SIGTERM),
    "selftest": (("selftest", "--only", "sleeps-ignoring-signals", "--time-limit", "60"), signal.SIGINT),
}


@pytest.mark.docker
@pytest.mark.parametrize("name", CONTAINERS)
def test_a_signal_leaves_no_container(make_place, docker_client, light_image, name) -> None:
    words, number = CONTAINERS[name]
    place = make_place(SLEEPERS, sandbox={"backend": "docker"})
    process = place.start(*words, code=FRESH)
    label = f"{owner.OWNER}={owner.describe(process.pid)}"

    def containers(*, ended: bool = False) -> list[object]:
        return docker_client.containers.list(all=ended, ignore_removed=True, filters={"label": label})

    try:
        place.until(containers, process)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    finally:
        kill_group(process)
    assert process.returncode == SIGNALS[number], err
    assert "Traceback" not in err
    assert containers(ended=True) == []
    assert place.leftovers() == []


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and ".cache" not in path.parts}


def test_under_nohup_a_lost_terminal_ends_nothing(make_place) -> None:
    place = make_place(SLEEPERS)
    process = place.start("run", code="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
                          "from harness.cli.main import main; main()")
    try:
        place.until(place.started, process)
        process.send_signal(signal.SIGHUP)
        assert not eventually(lambda: process.poll() is not None, 1)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert place.leftovers() == []


REPORTS = {
    "leaderboard": ("leaderboard",), "json": ("leaderboard", "--format", "json"), "csv": ("matrix", "--format", "csv"),
    "show": ("show", "attack-copy"), "status": ("status",), "submissions": ("submissions",),
    "logs": ("logs", "attack-copy", "--batch", "0"), "export": ("export", "out"),
    "help": ("--help",),
}


def shell(place, line: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`$@` in the line is the command."""
    entry = [sys.executable, "-c", "from harness.cli.main import main; main()", *words]
    return subprocess.run(["bash", "-c", f"set -o pipefail; {line}", "bash", *entry], cwd=place.root, capture_output=True,
                          text=True, env=place.environment(PYTHONPATH=str(ROOT), **env), check=False, timeout=120)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_that_cannot_be_written(finished, name) -> None:
    place = finished[0]
    words = REPORTS[name]
    for line, why in (('"$@" > /dev/full', "No space left"), ('"$@" >&-', "it is closed")):
        done = shell(place, line, *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 2), (line, done.stderr)
        assert why in done.stderr
    # Ends before the command writes: the pipe is closed for certain.
    left = shell(place, '"$@" | exec true', *words)
    assert (left.returncode, left.stderr) == (0, "")
    if name == "status":
        assert shell(place, '"$@" 2>&-', *words).returncode == 0
        assert shell(place, '"$@" 2>/dev/full >/dev/full', *words).returncode == 2
    plain = shell(place, '"$@"', *words, PYTHONIOENCODING="ascii")
    assert (plain.returncode, "Traceback" in plain.stderr) == (0, False), plain.stderr


@pytest.mark.parametrize("line", ['"$@" 2>/dev/full', '"$@" 2>&-', '"$@" >&- 2>&-', '{ "$@"; } 2>&1 >/dev/null | exec true'])
def test_progress_that_cannot_be_written_ends_no_contest(make_place, line) -> None:
    place = make_place(("attack-darken", "defense-mean"))
    assert shell(place, line, "run").returncode == 0
    assert place.harness("run").stderr.startswith("harness: No Docker")
    assert place.done() > 0


@pytest.mark.parametrize("words", [
    ("run", "--trace", "tournament.yaml/below"), ("run", "--trace", "/proc/nowhere/x"), ("run", "--trace", "data"),
    ("export", "tournament.yaml/below"), ("export", "/proc/nowhere/x")], ids=" ".join)
def test_an_output_that_cannot_be_written_is_found_before_the_work(make_place, copy_of_finished, words) -> None:
    place = copy_of_finished() if words[0] == "export" else make_place(("attack-darken", "defense-mean"))
    done = place.harness(*words)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    if words[0] == "run":
        assert place.started() == 0
        assert not place.state.exists()


def test_a_trace_goes_to_a_device_too(make_place) -> None:
    place = make_place(("attack-darken", "defense-mean"))
    place.run("--trace", "/dev/null")


def test_without_arguments_the_help_is_clean(make_place) -> None:
    done = make_place(("defense-mean",)).harness()
    assert done.returncode == 2
    assert "\\b" not in done.stderr
    assert "\n  harness dataset build digits\n" in done.stderr or "\n    harness dataset build digits\n" in done.stderr
