"""A tournament opened on real files: what is registered, what a round knows, what is dropped."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.config import load
from harness.engine import gpu as gpus
from harness.errors import ConfigError, DatasetError, SubmissionError, UnknownNameError
from harness.sandbox.base import RunReport, RunRequest
from harness.sandbox.process import ProcessSandbox
from harness.scheduling.board import DONE
from harness.store import submissions
from harness.submission.discover import load_configured
from harness.tournament.conditions import limits_of
from harness.tournament.machine import Summary, Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, play_round
from harness.tournament.tournament import Fresh, Tournament
from harness.views.submission_reader import SubmissionReader
from tests.e2e import make
from tests.helpers.verdicts import codes_of

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
    return play_round(tournament, tournament.dataset(), ProcessSandbox(root / "scratch"), Options(**options), Watcher(),
                     lambda: False)


def test_loading_what_is_configured_writes_nothing(root) -> None:
    before = sorted(root.rglob("*"))
    loaded = load_configured(load(root / "tournament.yaml"))
    assert sorted(each.submission.name for each in loaded) == sorted(PROGRAMS)
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
    renamed = [replace(each, submission=replace(each.submission, name="renamed")) for each in known]
    with pytest.raises(SubmissionError, match="same content"):
        tournament.register([*new, *renamed])
    with tournament.read() as transaction:
        assert sorted(held.name for held in submissions.active(transaction)) == sorted(PROGRAMS)


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
        tournament.open_round(tournament.dataset(), sandbox="process", fresh=Fresh(["attack-copy", "nobody"]))
    assert tournament.open_round(tournament.dataset(), sandbox="process").board.complete
    round_ = tournament.open_round(tournament.dataset(), sandbox="process", fresh=Fresh(["attack-copy"]))
    assert round_.board.counts()[DONE] == 9 - 3 + 9


def test_where_there_are_gpus_entries_run_in_their_image_for_one(root, tournament) -> None:
    make.entry(root / "entries" / "attack-gpu", "attack-noise", metadata={"container_gpu": "localhost/harness-cuda:1"})
    tournament.submit_configured()
    images = {gpu: {c.name: c.program.image for c in (*lineup.attacks, *lineup.defenses)}
              for gpu in (False, True)
              for lineup in [tournament.open_round(tournament.dataset(), sandbox="docker", gpu=gpu).lineup]}
    assert images[False] == dict.fromkeys((*PROGRAMS, "attack-gpu"), make.IMAGE)
    assert images[True] == images[False] | {"attack-gpu": "localhost/harness-cuda:1"}


def test_what_was_run_without_a_gpu_is_run_again_with_one(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root)
    assert tournament.open_round(tournament.dataset(), sandbox="process").board.complete
    assert not tournament.open_round(tournament.dataset(), sandbox="process", gpu=True).board.counts()[DONE]
    assert tournament.open_round(tournament.dataset(), sandbox="process").board.complete
    tournament.open_round(tournament.dataset(), sandbox="process", name="final")
    with pytest.raises(ConfigError, match=r"round final was made with a GPU for each run: false, not true\."):
        tournament.open_round(tournament.dataset(), sandbox="process", name="final", gpu=True)


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
        summary = play_round(opened, opened.dataset(), sandbox, Options(gpus=wanted), Watcher(), lambda: False)
    assert summary.waiting == 0
    assert sandbox.given == given


def test_the_limits_are_the_files(root) -> None:
    config = load(root / "tournament.yaml")
    limits = limits_of(config.rules, config.sandbox)
    assert (limits.time_limit_s, limits.memory_bytes, limits.output_bytes) == (60, 256 << 20, 4 << 20)


def changed(tournament: Tournament, section: str, **fields: Any) -> None:
    """As if that section of the tournament file had been changed."""
    held = getattr(tournament.config, section).model_copy(update=fields)
    tournament.config = tournament.config.model_copy(update={section: held})


def in_two_sizes(tournament: Tournament, root: Path, *sizes: int) -> None:
    """A round of batches of each size. Of 30 images, the last batch of 10 is the second of 20 + 10, the third of 3 x 10."""
    tournament.submit_configured()
    for size in sizes:
        changed(tournament, "rules", batch_size=size, max_epsilon=(16,))
        finish(tournament, root, round_name=f"by{size}")


def test_a_batch_of_two_rounds_is_held_against_its_own_images_in_both(root, tournament) -> None:
    in_two_sizes(tournament, root, 20, 10)
    with Tournament(tournament.config.model_copy(update={"state": root / "other"})) as other:
        in_two_sizes(other, root, 10, 20)
        for name in ("by10", "by20"):
            found, expected = (load_results(each, each.dataset(), name) for each in (tournament, other))
            # Of the entries that use no random numbers.
            assert np.array_equal(found.clean_codes, expected.clean_codes)
            assert np.array_equal(codes_of(found), codes_of(expected))


@pytest.mark.parametrize(("name", "last"), [("by10", 2), ("by20", 1)])
def test_a_batch_has_the_number_of_the_round_that_is_looked_at(root, tournament, name, last) -> None:
    in_two_sizes(tournament, root, 20, 10)
    with tournament.read() as transaction:
        reader = SubmissionReader(tournament, transaction, name)
        assert sorted(reader.position.values()) == list(range(last + 1))
        assert [log.batch for log in reader.logs("attack-darken", batch=last)] == [last]
        (shared,) = (batch for batch, at in reader.position.items() if at == last)
        before = {run.id for run, at, _ in reader.runs(reader.member("attack-darken"), failed_only=False) if at == last}
    finish(tournament, root, round_name=name, fresh=["attack-darken"], fresh_batch=last)
    with tournament.read() as transaction:
        reader = SubmissionReader(tournament, transaction, name)
        assert reader.position[shared] == last
        after = {run.id for run, at, _ in reader.runs(reader.member("attack-darken"), failed_only=False) if at == last}
    assert len(before) == len(after) == 1
    assert before != after


def test_a_batch_that_the_round_does_not_have_is_refused(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root)
    with pytest.raises(UnknownNameError, match=r"no batch 3 in the round default.*0 to 2"):
        finish(tournament, root, fresh=["attack-copy"], fresh_batch=3)


def test_batches_that_are_the_same_are_refused(tournament) -> None:
    tournament.submit_configured()
    changed(tournament, "rules", batch_size=7)
    dataset = tournament.dataset()
    twice = replace(dataset, _image_digests=(dataset._image_digests[0],) * 30, targets=np.ones(30, np.int32))
    with pytest.raises(DatasetError, match="Batches 0 and 3 have the same images"):
        tournament.open_round(twice, sandbox="process")


def test_what_is_made_fresh_is_the_rounds_own_version(root, tournament) -> None:
    tournament.submit_configured()
    finish(tournament, root, round_name="final")
    shutil.rmtree(root / "entries" / "attack-darken")
    make.entry(root / "entries" / "attack-darken", "attack-bright")
    tournament.submit_configured()
    finish(tournament, root)
    assert finish(tournament, root, round_name="final", fresh=["attack-darken"]).progress.finished == 3
    assert finish(tournament, root).progress.finished == 0


@pytest.mark.parametrize(("fields", "sandbox", "words"), [
    ({}, "docker", r"round final was made with sandbox\.backend process, not docker\."),
    ({"cpus": 2.0, "runtime": "runsc"}, "process",
     r"round final was made with sandbox\.cpus 1\.0, not 2\.0, and sandbox\.runtime null, not runsc\."),
    ({"memory": 1 << 20}, "process", "sandbox.memory 268435456, not 1048576")])
def test_a_named_round_is_not_run_under_other_conditions(root, tournament, fields, sandbox, words) -> None:
    tournament.submit_configured()
    finish(tournament, root, round_name="final")
    changed(tournament, "sandbox", **fields)
    other = ProcessSandbox(root / "scratch")
    other.name = sandbox
    with pytest.raises(ConfigError, match=words):
        play_round(tournament, tournament.dataset(), other, Options("final", fresh=["attack-copy"]), Watcher(), lambda: False)
    # Nothing was dropped, and the default round follows the file as ever.
    assert not tournament.open_round(tournament.dataset(), sandbox=sandbox).board.complete
    changed(tournament, "sandbox", cpus=1.0, runtime=None, memory=256 << 20)
    assert tournament.open_round(tournament.dataset(), sandbox="process", name="final").board.complete


def test_a_named_round_keeps_its_time_limit(root, tournament) -> None:
    tournament.submit_configured()
    tournament.open_round(tournament.dataset(), sandbox="process", name="final")
    changed(tournament, "rules", time_limit_s=7.0)
    fields = {name: tournament.open_round(tournament.dataset(), sandbox="process", name=name).lineup for name in ("final", None)}
    limits = {name: {c.limits.time_limit_s for c in (*lineup.attacks, *lineup.defenses)} for name, lineup in fields.items()}
    assert limits == {"final": {60.0}, None: {7.0}}
    with tournament.read() as transaction:
        assert SubmissionReader(tournament, transaction, "final").submission("attack-copy").timings.limit_s == 60.0


def test_a_broken_entry_is_missed_only_where_it_is_named_by_itself(tmp_path) -> None:
    """Also below a directory whose own name looks like a glob."""
    place = tmp_path / "contest [1]*"
    make.tournament(place, PROGRAMS)
    (place / "entries" / "attack-copy" / "metadata.json").write_text("{")
    left_out: list[str] = []

    def tell(source: str, _: SubmissionError) -> None:
        left_out.append(source)

    assert len(load_configured(load(place / "tournament.yaml"), tell)) == len(PROGRAMS) - 1
    assert left_out == [str(place / "entries" / "attack-copy")]
    make_explicit = (place / "tournament.yaml").read_text().replace("- entries/*", "- entries/*\n- entries/attack-copy")
    (place / "tournament.yaml").write_text(make_explicit)
    with pytest.raises(SubmissionError, match="attack-copy"):
        load_configured(load(place / "tournament.yaml"), tell)
