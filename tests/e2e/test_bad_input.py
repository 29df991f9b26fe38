"""Everything a person can get wrong: one sentence that names it, the next step, exit 2, and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.cli.main import main
from harness.formats.png import encode_png
from harness.store.models import SCHEMA_VERSION
from harness.tournament.choose_sandbox import WARNING
from tests.e2e import make
from tests.e2e.conftest import Place
from tests.helpers import stored

PROGRAMS = ("attack-darken", "defense-mean")
RUN = ("run",)
NOWHERE = "unix:///nonexistent/docker.sock"
#: What is said of somebody else's program that nothing would hold.
UNTRUSTED = ("attack-darken is an archive", "without isolation", "--trust-process-sandbox")


class Row(NamedTuple):
    """What is broken, what is typed, and what the sentence must hold."""

    name: str
    broken: Callable[[Place], object]
    words: tuple[str, ...]
    command: tuple[str, ...] = RUN
    env: tuple[tuple[str, str], ...] = ()


def config(old: str, new: str) -> Callable[[Place], None]:
    def broken(place: Place) -> None:
        text = place.config.read_text()
        assert old in text
        place.config.write_text(text.replace(old, new))

    return broken


def data(old: str, new: str) -> Callable[[Place], None]:
    def broken(place: Place) -> None:
        path = place.root / "data" / "metadata.csv"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return broken


def metadata(entry: str = "attack-darken", **fields: Any) -> Callable[[Place], None]:
    def broken(place: Place) -> None:
        path = place.root / "entries" / entry / "metadata.json"
        facts = {**json.loads(path.read_text()), **fields}
        path.write_text(json.dumps({name: value for name, value in facts.items() if value is not None}))

    return broken


def by_itself(broken: Callable[[Place], object]) -> Callable[[Place], None]:
    """Broken, and named by its own path: what only a glob names is left out instead."""
    def done(place: Place) -> None:
        config("- entries/*", "- entries/attack-darken\n- entries/defense-*")(place)
        broken(place)

    return done


def remove(path: str) -> Callable[[Place], None]:
    def broken(place: Place) -> None:
        target = place.root / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return broken


def wrong_size(place: Place) -> None:
    import numpy as np

    (place.root / "data" / "images" / "img-003.png").write_bytes(encode_png(np.zeros((9, 8, 3), np.uint8)))


def other_pixels(place: Place) -> None:
    images = place.root / "data" / "images"
    shutil.copyfile(images / "img-001.png", images / "img-002.png")


def database(version: int) -> Callable[[Place], None]:
    def broken(place: Place) -> None:
        place.state.mkdir()
        stored.make_foreign(place.state / "tournament.db", version)

    return broken


def no_database(place: Place) -> None:
    place.state.mkdir()
    (place.state / "tournament.db").write_bytes(b"this is no database at all, whatever its name says" * 100)


def packed(place: Place) -> Path:
    """An entry as somebody else would hand it in; it is no longer among the tournament's own."""
    shutil.move(place.root / "entries" / "attack-darken", place.root / "attack-darken")
    return Path(shutil.make_archive(str(place.root / "packed"), "gztar", place.root, "attack-darken"))


def packed_in_the_file(backend: str = "process") -> Callable[[Place], None]:
    def broken(place: Place) -> None:
        packed(place)
        config("- entries/*", "- entries/*\n- packed.tar.gz")(place)
        config("backend: process", f"backend: {backend}")(place)

    return broken


def instead(program: str, of: str) -> Callable[[Place], None]:
    def broken(place: Place) -> None:
        remove(f"entries/{of}")(place)
        make.entry(place.root / "entries" / program, program)

    return broken


def nothing(place: Place) -> None:
    del place


ROWS = [
    Row("no tournament.yaml", remove("tournament.yaml"), ("tournament.yaml does not exist", "--config")),
    Row("tournament.yaml is not YAML", config("rules:", "rules: ["), ("tournament.yaml: line", "it is malformed")),
    Row("tournament.yaml is a list", lambda p: p.config.write_text("- a\n"), ("must hold a mapping",)),
    Row("tournament.yaml is binary", lambda p: p.config.write_bytes(b"\xff\xfe\x00"), ("tournament.yaml: it is UTF-16 text",)),
    Row("unknown key", config("submissions:", "submisions:"), ("unknown field submisions", "Did you mean submissions?")),
    Row("unknown key in rules", config("time_limit_s:", "time_limit:"),
        ("unknown field rules.time_limit", "Did you mean time_limit_s?")),
    Row("unknown key in sandbox", config("memory:", "memroy:"), ("sandbox.memroy", "Did you mean memory?")),
    Row("a field without its value", config("name: tiny", ""), ("field name",)),
    Row("a size that is none", config("256m", "a lot"), ("sandbox.memory", "'a lot' is not a size")),
    Row("epsilon beyond 255", config("- 32", "- 300"), ("rules.max_epsilon",)),
    Row("no data set", remove("data"), ("data", "harness dataset")),
    Row("data set without metadata.csv", remove("data/metadata.csv"), ("metadata.csv",)),
    Row("data set without dataset.yaml", remove("data/dataset.yaml"), ("dataset.yaml",)),
    Row("image missing", remove("data/images/img-004.png"), ("img-004.png",)),
    Row("image of the wrong size", wrong_size, ("img-003.png", "not 8x8 pixels")),
    Row("other pixels", other_pixels, ("does not match the digest", "harness dataset verify")),
    Row("label outside the range", data("img-000,0", "img-000,10"), ("metadata.csv", "10", "0..9")),
    Row("label that is no number", data("img-000,0", "img-000,zero"), ("metadata.csv", "'zero'")),
    Row("duplicate ids", data("img-001", "img-000"), ("repeats", "img-000")),
    Row("other labels", data("img-000,0", "img-000,1"), ("does not match the digest",)),
    Row("submission not there", config("entries/*", "entries/attack-lost"), ("attack-lost", "matches nothing")),
    Row("glob that matches nothing", config("entries/*", "nowhere/*"), ("nowhere/*", "matches nothing")),
    Row("entry without metadata.json", by_itself(remove("entries/attack-darken/metadata.json")),
        ("attack-darken", "metadata.json")),
    Row("metadata is not JSON",
        by_itself(lambda p: (p.root / "entries/attack-darken/metadata.json").write_text("{")),
        ("attack-darken", "metadata.json")),
    Row("metadata without type", by_itself(metadata(type=None)), ("attack-darken", "type")),
    Row("metadata without entry_point", by_itself(metadata(entry_point=None)), ("attack-darken", "entry_point")),
    Row("metadata with an unknown type", by_itself(metadata(type="atack")), ("attack-darken", "atack")),
    Row("two of one name", metadata(name="defense-mean"), ("attack-darken", "defense-mean", "both named")),
    Row("two of one content", lambda p: shutil.copytree(p.root / "entries/attack-darken", p.root / "entries/twin"),
        ("attack-darken", "twin")),
    Row("only a name that is unknown", nothing, ("'nobody'", "harness submissions"), ("run", "--only", "nobody")),
    Row("fresh of a name that is unknown", nothing, ("'nobody'",), ("run", "--fresh", "nobody")),
    Row("a GPU that is not there", nothing, ("no GPU 77",), ("run", "--gpus", "77")),
    Row("one run that may use more memory than the host has", config("memory: 256m", "memory: 60t"),
        ("sandbox.memory", "this host has")),
    Row("slots of zero", nothing, ("--slots",), ("run", "--slots", "0")),
    Row("no Docker engine where one is asked for", config("backend: process", "backend: docker"), ("No Docker engine answers",),
        env=(("DOCKER_HOST", NOWHERE),)),
    Row("no Docker engine on the command line", nothing, ("No Docker engine answers",), ("run", "--sandbox", "docker"),
        env=(("DOCKER_HOST", "tcp://127.0.0.1:1"),)),
    Row("database of a newer version", database(SCHEMA_VERSION + 1), ("newer harness", str(SCHEMA_VERSION + 1))),
    Row("database of somebody else", database(0), ("not a database of this harness",)),
    *(Row(f"{command} on somebody else's database of our version", database(SCHEMA_VERSION), ("not a database of this harness",),
          tuple(command.split())) for command in ("run", "status", "leaderboard", "show x", "logs x", "submissions", "export out")),
    Row("no database behind the name", no_database, ("not a database",)),
    Row("state is a file", lambda p: p.state.write_text(""), ("state",)),
    Row("submit what is not there", nothing, ("no-such-thing",), ("submit", "./no-such-thing"),
        env=(("DOCKER_HOST", NOWHERE),)),
    Row("submit with a wrong name", nothing, ("--name",), ("submit", "entries/attack-darken", "--name", "a b")),
    Row("submit an archive where nothing isolates", packed, UNTRUSTED, ("submit", "packed.tar.gz")),
    Row("validate an archive where nothing isolates", packed, UNTRUSTED, ("validate", "packed.tar.gz")),
    Row("validate an archive in the process sandbox", packed_in_the_file("docker"), UNTRUSTED,
        ("validate", "packed.tar.gz", "--sandbox", "process")),
    Row("an archive in the tournament file where nothing isolates", packed_in_the_file(), UNTRUSTED),
    Row("an archive in the tournament file where no engine answers", packed_in_the_file("auto"), UNTRUSTED,
        env=(("DOCKER_HOST", NOWHERE),)),
    Row("leaderboard of nothing", nothing, ("harness run",), ("leaderboard",)),
    Row("matrix of nothing", nothing, ("harness run",), ("matrix",)),
    Row("an attack whose threat the tournament lacks is validated", metadata(threat="patch"),
        ("attack-darken does not take part: its threat is patch, and the tournament has linf.", "--config"),
        ("validate", "entries/attack-darken")),
    Row("a threat without its bounds", config("max_epsilon:", "threats: {l2: {}}\n  max_epsilon:"), ("rules.threats.l2.bounds",)),
    Row("round with a detector and no attack", instead("detector-level", "attack-darken"),
        ("detector-level has no images to score", "Submit an attack")),
    Row("round with a detector whose only attack lacks its threat",
        lambda p: (metadata(threat="l2")(p), make.entry(p.root / "entries/detector-level", "detector-level")),
        ("detector-level has no images to score",)),
    Row("round with rejection and no defense", lambda p: (
        config("rules:", "rules:\n  rejection: {max_clean: 0.05}")(p), remove("entries/defense-mean")(p)),
        ("rules.rejection", "no defense takes part", "Submit a defense")),
    Row("a command that is unknown", nothing, ("No such command", "frobnicate"), ("frobnicate",)),
]


def listing(root: Path) -> dict[str, int]:
    """Every file with its size, but what a data set's reader may keep beside it, and the tests' own."""
    return {str(path.relative_to(root)): path.stat().st_size if path.is_file() else -1 for path in root.rglob("*")
            if not {"tmp", ".cache"} & set(path.relative_to(root).parts)}


def check(done: subprocess.CompletedProcess[str], words: tuple[str, ...]) -> None:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    missing = [word for word in words if word not in done.stderr]
    assert not missing, done.stderr
    # The sentence and the next step; a warning of the sandbox may stand before it.
    said = [line for line in done.stderr.splitlines() if line.startswith("harness: ") and WARNING not in line]
    assert len(said) == 1 or "Usage:" in done.stderr, done.stderr


def in_process(place: Place, row: Row, monkeypatch, capfd) -> subprocess.CompletedProcess[str]:
    """The command's entry point without the second that a new interpreter takes; fifty rows are many."""
    monkeypatch.chdir(place.root)
    for name, value in place.environment(**dict(row.env)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["harness", *row.command])
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main()
    said = capfd.readouterr()
    return subprocess.CompletedProcess(row.command, int(left.value.code), said.out, said.err)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_one_sentence_exit_2_and_nothing_half_written(make_place, monkeypatch, capfd, row) -> None:
    place = make_place(PROGRAMS)
    row.broken(place)
    before = listing(place.root)
    done = in_process(place, row, monkeypatch, capfd)
    check(done, row.words)
    late = row.command[0] == "run" and (len(row.command) > 1 or "memory" in row.name or row.name.startswith("round with"))
    allowed = {"state", "state/tournament.db", "state/run.lock", "state/harness.log"} if late else {"out", "out/2017"}
    after = {path: size for path, size in listing(place.root).items() if path not in allowed}
    left = {path for path in after if path not in before and not path.startswith(("state/submissions", "state/work"))}
    assert not left
    assert {path: size for path, size in after.items() if path in before} == before


def test_an_attack_of_another_threat_is_registered_and_told_that_it_takes_no_part(make_place) -> None:
    place = make_place(PROGRAMS)
    make.entry(place.root / "other" / "patcher", "attack-bright", metadata={"threat": "patch"})
    done = place.harness("submit", "other/patcher")
    assert done.returncode == 0, done.stderr
    assert "patcher does not take part: its threat is patch, and the tournament has linf." in done.stderr
    again = place.run()
    assert "patcher does not take part" in again.stderr
    assert place.runs() == {"attack-darken": 3, "defense-mean": 6}


def test_what_docker_was_to_hold_does_not_run_without_it_unless_told(make_place) -> None:
    place = make_place(PROGRAMS, sandbox={"backend": "docker"})
    packed(place)
    # Nothing is run, and no engine asked, at `submit`.
    assert place.harness("submit", "packed.tar.gz").returncode == 0
    check(place.harness("run", "--sandbox", "process"), UNTRUSTED)
    check(place.harness("run", "--sandbox", "auto", "--round", "new", DOCKER_HOST=NOWHERE), UNTRUSTED)
    check(place.harness("run", "--sandbox", "process", "--only", "attack-darken"), UNTRUSTED)
    assert place.started() == place.done() == 0
    assert "Nothing has been run yet" in place.harness("leaderboard").stderr
    # What does not start it may be run: a defense of one's own on the clean images.
    place.run("--sandbox", "process", "--only", "defense-mean")
    assert place.runs() == {"defense-mean": 3}
    place.run("--sandbox", "process", "--trust-process-sandbox")
    assert place.runs() == {"attack-darken": 3, "defense-mean": 6}


def test_a_packed_defense_is_not_run_on_what_ones_own_attack_makes(make_place) -> None:
    place = make_place(PROGRAMS)
    shutil.move(place.root / "entries" / "defense-mean", place.root / "defense-mean")
    shutil.make_archive(str(place.root / "packed"), "gztar", place.root, "defense-mean")
    assert place.harness("submit", "packed.tar.gz", "--trust-process-sandbox").returncode == 0
    check(place.harness("run", "--only", "attack-darken"), ("defense-mean is an archive",))
    assert place.done() == 0


def test_ones_own_archive_is_validated_where_one_says_so(make_place) -> None:
    place = make_place(PROGRAMS)
    packed(place)
    done = place.harness("validate", "packed.tar.gz", "--trust-process-sandbox")
    assert done.returncode == 0, done.stdout
    assert "packed.tar.gz is valid" in done.stdout
    # Looking at it runs nothing, and needs no trust.
    assert place.harness("validate", "packed.tar.gz", "--static").returncode == 0


def test_an_image_that_is_not_here_is_in_no_processs_way(make_place) -> None:
    place = make_place(PROGRAMS)
    metadata(container="localhost/nobody-has-it:1")(place)
    done = place.harness("validate", "entries/attack-darken", "--sandbox", "process")
    assert done.returncode == 0, done.stdout
    assert "is valid" in done.stdout
    static = place.harness("validate", "entries/attack-darken", "--sandbox", "process", "--static")
    assert static.returncode == 0
    assert "The image that it names was not looked up. Programs run as processes here." in static.stdout + static.stderr


def packed_baseline(place: Place) -> None:
    metadata(baseline=True)(place)
    shutil.move(packed(place), place.root / "entries" / "packed.tar.gz")


LEFT_OUT: dict[str, tuple[Callable[[Place], object], str]] = {
    "no type": (metadata(type=None), "the field is missing"),
    "a pipe in it": (lambda p: os.mkfifo(p.root / "entries/attack-darken/pipe"), "neither a file nor a directory"),
    "no entry at all": (lambda p: (p.root / "entries/README.md").write_text("hello\n"), "is damaged, or not an archive"),
    "a baseline that is packed": (packed_baseline, "calls itself a baseline"),
}


@pytest.mark.parametrize("fault", LEFT_OUT)
def test_one_broken_entry_under_a_glob_does_not_end_the_contest(make_place, fault) -> None:
    place = make_place(PROGRAMS)
    broken, words = LEFT_OUT[fault]
    broken(place)
    done = place.run("--trust-process-sandbox")
    (line,) = (line for line in done.stderr.splitlines() if "is left out" in line)
    assert words in line
    assert place.runs()["defense-mean"] >= 3


def test_a_name_in_the_file_is_not_for_others(make_place) -> None:
    place = make_place(PROGRAMS)
    make.entry(place.root / "other" / "x", "attack-bright", metadata={"name": "Attack-Darken", "team": "B"})
    check(place.harness("submit", "other/x"), ("entries/attack-darken, which the tournament file names", "--name"))
    # Nor is one that was handed in first taken by a line of the file that comes later.
    assert place.harness("submit", "other/x", "--name", "late").returncode == 0
    make.entry(place.root / "entries" / "late", "attack-copy")
    done = place.run()
    assert "entries/late is left out" in done.stderr
    assert "belongs to team B" in done.stderr
    assert [(found.team, found.state, found.version) for found in stored.submissions(place.state) if found.name == "late"] == [
        ("B", "active", 1)]


def test_two_teams_with_one_file_name(make_place) -> None:
    place = make_place(PROGRAMS, sandbox={"backend": "docker"})
    for team, program in (("a", "attack-copy"), ("b", "attack-bright")):
        make.entry(place.root / team / "entry", program, metadata={"name": None, "baseline": False})
        shutil.make_archive(str(place.root / team / "submission"), "zip", place.root / team, "entry")
    assert place.harness("submit", "a/submission.zip").returncode == 0
    before = stored.submission_rows(place.state)
    for more in ((), ("--team", "B"), ("--name", "SUBMISSION")):
        check(place.harness("submit", "b/submission.zip", *more), ("The name submission belongs to", "--name", "--replace"))
    assert stored.submission_rows(place.state) == before
    assert place.harness("submit", "b/submission.zip", "--name", "b", "--team", "B").returncode == 0
    done = place.harness("submit", "b/submission.zip", "--name", "submission", "--replace")
    assert "same content as the submission b" in done.stderr


def test_an_unknown_scoring_view_names_those_there_are(finished) -> None:
    done = finished[0].harness("leaderboard", "--scoring", "nips2018")
    assert done.returncode == 2
    assert "nips2018" in done.stderr
    assert "nips2017" in done.stderr.replace("nips2018", "")


def test_a_round_with_another_data_set_is_refused(finished) -> None:
    place, _ = finished
    other = make.dataset(place.root / "other", 20)
    text = place.config.read_text()
    path = place.root / "other.yaml"
    path.write_text(text.replace("dataset: data", f"dataset: {other}"))
    done = place.harness("run", "--round", "default", "--config", str(path))
    check(done, ("default", "another data set"))


@pytest.mark.docker
def test_an_image_that_cannot_be_pulled(make_place) -> None:
    place = make_place(PROGRAMS, sandbox={"backend": "docker"})
    before = listing(place.root)
    done = place.harness("submit", "localhost:1/harness-test/no-such-image:1", "--type", "attack")
    check(done, ("localhost:1/harness-test/no-such-image:1",))
    assert listing(place.root) == before


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "harness-test", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.root
def test_a_state_directory_that_is_not_writable(make_place) -> None:
    place = make_place(PROGRAMS)
    with mounted(place.state, "size=1m,ro"):
        check(place.harness("run"), (str(place.state), "writable"))
        assert os.listdir(place.state) == []


@pytest.mark.root
def test_a_state_directory_that_cannot_be_made(make_place) -> None:
    place = make_place(PROGRAMS, state="readonly/state")
    with mounted(place.root / "readonly", "size=1m,ro"):
        check(place.harness("run"), ("readonly", "writable"))


@pytest.mark.root
# Each is met at another file: the database, the code, a commit, the logs as they are made, a result.
@pytest.mark.parametrize("room", ["64k", "184k", "208k", "280k", "304k", "600k"])
def test_a_disk_that_is_full_from_the_start(make_place, room) -> None:
    place = make_place(PROGRAMS)
    with mounted(place.state, f"size={room}"):
        done = place.harness("run")
        assert done.returncode == 2, done.stderr
        assert "full" in done.stderr or "space" in done.stderr
        assert "Traceback" not in done.stderr
        assert [p for p in place.leftovers() if "work" in p or "process" in p] == []
