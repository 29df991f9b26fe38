"""A tournament opened on real files: what is registered, what a round knows, what is dropped."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness import gpus
from harness.config import load
from harness.contest import Options, Summary, Watcher, run_round
from harness.errors import SubmissionError, UnknownNameError
from harness.plan import DONE
from harness.sandbox.base import RunReport, RunRequest
from harness.sandbox.process import ProcessSandbox
from harness.store import registry
from harness.tournament import Tournament, limits_of, load_configured
from tests.e2e import make

PROGRAMS = ("attack-copy", "attack-darken", "targeted-step", "defense-mean")


@pytest.fixture
def root(tmp_path) -> Path:
    make.tournament(tmp_path, PROGRAMS)
    return tmp_path


@pytest.fixture
def tournament(root):
    with Tournament(load(root / "tournament.yaml")) as opened:
        yield opened


def finish(tournament: Tournament, root: Path, **options) -> Summary:
    return run_round(tournament, tournament.dataset(), ProcessSandbox(root / "scratch"), Options(**options), Watcher(),
                     lambda: False)


def test_loading_what_is_configured_writes_nothing(root) -> None:
    before = sorted(root.rglob("*"))
    loaded = load_configured(load(root / "tournament.yaml"))
    assert sorted(submission.name for submission in loaded.values()) == sorted(PROGRAMS)
    assert sorted(root.rglob("*")) == before


def test_what_two_globs_name_is_one_submission(root) -> None:
    config = load(root / "tournament.yaml")
    twice = config.model_copy(update={"submissions": config.submissions * 2})
    assert len(load_configured(twice)) == len(PROGRAMS)


def test_registering_is_all_or_nothing(root, tournament) -> None:
    tournament.submit_configured()
    make.entry(root / "entries" / "aaa-new", "attack-bright")
    new, known = (load_configured(tournament.config.model_copy(update={"submissions": (str(root / "entries" / name),)}))
                  for name in ("aaa-new", "attack-darken"))
    renamed = {source: replace(submission, name="renamed") for source, submission in known.items()}
    with pytest.raises(SubmissionError, match="same content"):
        tournament.submit_configured({**new, **renamed})
    with tournament.session() as session:
        assert sorted(row.name for row in registry.active(session)) == sorted(PROGRAMS)


def test_a_round_knows_what_is_done(root, tournament) -> None:
    tournament.submit_configured()
    round_ = tournament.open_round(tournament.dataset(), sandbox="process")
    assert not round_.board.complete
    assert round_.board.total == 3 * 3 + 3 + 3 * 3
    summary = finish(tournament, root)
    assert not summary.stopped
    assert summary.waiting == 0
    again = tournament.open_round(tournament.dataset(), sandbox="process")
    assert again.board.complete
    assert (again.board.attack_state == DONE).all()
    # The copying attack left the clean images: three inputs fewer.
    assert len(again.board.inputs) == 3 + 2 * 3


def test_results_of_another_sandbox_do_not_count(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root)
    assert not tournament.open_round(tournament.dataset(), sandbox="docker").board.complete
    assert tournament.open_round(tournament.dataset(), sandbox="process").board.complete


def test_dropping_results_needs_known_names(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root)
    with pytest.raises(UnknownNameError, match="nobody"):
        tournament.drop_results(["attack-copy", "nobody"])
    assert tournament.open_round(tournament.dataset(), sandbox="process").board.complete
    assert tournament.drop_results(["attack-copy"]) == 3
    round_ = tournament.open_round(tournament.dataset(), sandbox="process")
    assert round_.board.counts()[DONE] == 9 - 3 + 9


def test_where_there_are_gpus_entries_run_in_their_image_for_one(root, tournament) -> None:
    make.entry(root / "entries" / "attack-gpu", "attack-noise", metadata={"container_gpu": "localhost/harness-cuda:1"})
    tournament.submit_configured()
    images = {gpu: {c.name: c.program.image for c in (*field.attacks, *field.defenses)}
              for gpu in (False, True) for field in [tournament.open_round(tournament.dataset(), sandbox="docker", gpu=gpu).field]}
    assert images[False] == dict.fromkeys((*PROGRAMS, "attack-gpu"), make.IMAGE)
    assert images[True] == images[False] | {"attack-gpu": "localhost/harness-cuda:1"}


class Witness(ProcessSandbox):
    """Notes what every run was given: its image and its GPU."""

    def __init__(self, scratch: Path) -> None:
        super().__init__(scratch)
        self.given: set[tuple[str | None, str | None]] = set()

    def run(self, request: RunRequest, cancel: threading.Event) -> RunReport:
        self.given.add((request.program.image, request.gpu))
        return super().run(request, cancel)


@pytest.mark.parametrize(("wanted", "given"), [
    ("auto", {("localhost/harness-cuda:1", "GPU-aaaa"), ("localhost/harness-cuda:1", "GPU-bbbb")}),
    (("1",), {("localhost/harness-cuda:1", "GPU-bbbb")}), ("none", {(make.IMAGE, None)})])
def test_the_gpus_of_the_host_are_handed_to_the_runs(root, tournament, monkeypatch, wanted, given) -> None:
    # The list is a fake: only what a program is started with is looked at here.
    monkeypatch.setattr(gpus, "detect", lambda: gpus.parse(
        "0, GPU-aaaa, NVIDIA H200, 570.86.15, 143771, 0, 1980\n1, GPU-bbbb, NVIDIA H200, 570.86.15, 143771, 0, 1980\n"))
    for program in PROGRAMS:
        make.entry(root / "on-gpu" / program, program, metadata={"container_gpu": "localhost/harness-cuda:1"})
    config = tournament.config.model_copy(update={"submissions": (str(root / "on-gpu" / "*"),)})
    with Tournament(config) as opened:
        opened.submit_configured()
        sandbox = Witness(root / "scratch")
        summary = run_round(opened, opened.dataset(), sandbox, Options(gpus=wanted), Watcher(), lambda: False)
    assert summary.waiting == 0
    assert sandbox.given == given


def test_the_limits_are_the_files(root) -> None:
    limits = limits_of(load(root / "tournament.yaml"))
    assert (limits.time_limit_s, limits.memory_bytes, limits.output_bytes) == (60, 256 << 20, 4 << 20)
