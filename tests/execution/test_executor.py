"""One run with a sandbox that does what the test says: what is laid out, what is read back, whose fault a failure is."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import tracks
from harness.dataset.load import Batch, Dataset, load
from harness.errors import EngineError, ImageUnavailableError, StoreError
from harness.execution.executor import Executor
from harness.execution.job import Job, Performed, Prepared, RunResult
from harness.formats.answers import Answers, Reading
from harness.formats.images import decode
from harness.formats.png import encode_png
from harness.formats.result_csv import NO_LABEL
from harness.sandbox.base import Limits, Program, RunReport, RunRequest
from harness.sandbox.outcomes import Ending, Outcome
from harness.store.artifacts import ArtifactStore, artifact_name
from harness.store.blobs import FileBlobs
from harness.tracks import TRACKS
from tests.e2e import make

Act = Callable[[RunRequest], RunReport | None]


@dataclass
class FakeSandbox:
    """Does ``act`` instead of starting a program."""

    act: Act | None = None
    prepare_fails: Exception | None = None
    isolates: bool = True
    name: str = "fake"
    requests: list[RunRequest] = field(default_factory=list)

    def prepare(self, program: Program) -> None:
        if self.prepare_fails is not None:
            raise self.prepare_fails

    def run(self, request: RunRequest, cancel: threading.Event) -> RunReport:
        self.requests.append(request)
        report = self.act(request) if self.act is not None else None
        return report or RunReport(Ending.FINISHED, exit_code=0, wall_s=0.5)


@dataclass
class Desk:
    sandbox: FakeSandbox
    executor: Executor
    dataset: Dataset
    batch: Batch
    artifacts: ArtifactStore
    work: Path

    def job(self, role: str = "attack", **changes) -> Job:
        job = Job(run_id=1, attempt=1, name="entry", track=role, program=Program("digest", None, Path("/"), "run"),
                  batch=self.batch.unlabelled(), input_digest=self.batch.task_digest, produced=np.ones(len(self.batch.ids), bool),
                  limits=Limits(output_bytes=1 << 20, output_files=100), clean=role == "defense")
        return replace(job, **changes)

    def run(self, act: Act | None = None, role: str = "attack", **changes) -> RunResult:
        self.sandbox.act = act
        prepared = self.executor.perform(self.executor.prepare(self.job(role, **changes)), None, threading.Event())
        return self.executor.collect(prepared)


@pytest.fixture
def desk(tmp_path):
    dataset = load(make.dataset(tmp_path / "data", 10))
    sandbox = FakeSandbox()
    artifacts = ArtifactStore(FileBlobs(tmp_path / "artifacts"))
    executor = Executor(dataset, sandbox, artifacts, tmp_path / "work")  # type: ignore[arg-type]
    yield Desk(sandbox, executor, dataset, dataset.batches(10, [16])[0], artifacts, tmp_path / "work")
    executor.close()
    assert not (tmp_path / "work").exists()


def images(request: RunRequest) -> list[Path]:
    return sorted(request.input_dir.glob("*.png"))


def copy(request: RunRequest, change: int = 0) -> None:
    for path in images(request):
        pixels = decode(path.read_bytes(), make.SIZE).pixels
        moved = np.clip(pixels.astype(int) + change, 0, 255).astype(np.uint8)
        (request.output_dir / path.name).write_bytes(encode_png(moved))


def label_all(request: RunRequest) -> None:
    (request.output_dir / "result.csv").write_text("".join(f"{p.name},{i % 10}\n" for i, p in enumerate(images(request))))


def test_an_attack_gets_pixels_and_nothing_else(desk) -> None:
    seen: dict[str, Any] = {}

    def look(request: RunRequest) -> None:
        seen["names"] = [path.name for path in request.input_dir.iterdir()]
        seen["pixels"] = {decode(path.read_bytes(), make.SIZE).pixels.tobytes() for path in images(request)}

    desk.run(look)
    assert all(name.endswith(".png") and not name.startswith("img") for name in seen["names"])
    assert seen["pixels"] == {pixels.tobytes() for pixels in desk.dataset.pixels(desk.batch)}
    assert desk.sandbox.requests[0].epsilon == 16


def test_names_and_order_differ_from_run_to_run(desk) -> None:
    seen = []
    for _ in range(2):
        desk.run(lambda request: seen.append([path.name for path in images(request)]))
    assert not set(seen[0]) & set(seen[1])


def test_a_targeted_attack_finds_the_targets_by_name(desk) -> None:
    found = {}

    def look(request: RunRequest) -> None:
        rows = [line.split(",") for line in (request.input_dir / "target_class.csv").read_text().splitlines()]
        assert rows == sorted(rows)
        for name, target in rows:
            found[decode((request.input_dir / name).read_bytes(), make.SIZE).pixels.tobytes()] = int(target)

    desk.run(look, "targeted_attack")
    pixels = desk.dataset.pixels(desk.batch)
    assert [found[image.tobytes()] for image in pixels] == desk.batch.targets.tolist()


def test_a_defense_gets_no_epsilon_and_no_targets(desk) -> None:
    names = []
    desk.run(lambda request: names.extend(path.name for path in request.input_dir.iterdir()), "defense")
    assert desk.sandbox.requests[0].epsilon is None
    assert "target_class.csv" not in names


def test_what_an_attack_left_is_enforced_and_stored(desk) -> None:
    result = desk.run(lambda request: copy(request, 40))
    assert result.outcome is Outcome.OK
    assert result.measured == 40
    clean = desk.dataset.pixels(desk.batch)
    adversarial, produced = desk.artifacts.load(result.made.digest, clean)
    assert produced.all()
    assert np.array_equal(adversarial, np.clip(clean.astype(int) + 16, 0, 255))


def test_a_defense_is_given_what_the_attack_made_and_only_that(desk) -> None:
    def half(request: RunRequest) -> None:
        copy(request, 8)
        for path in images(request)[::2]:
            (request.output_dir / path.name).unlink()

    made = desk.run(half).made
    assert made.produced.sum() == 5
    seen = []

    def label(request: RunRequest) -> None:
        seen.extend(decode(path.read_bytes(), make.SIZE).pixels.tobytes() for path in images(request))
        label_all(request)

    result = desk.run(label, "defense", input_digest=made.digest, produced=made.produced, clean=False)
    wanted = np.clip(desk.dataset.pixels(desk.batch).astype(int) + 8, 0, 255).astype(np.uint8)[made.produced]
    assert sorted(seen) == sorted(image.tobytes() for image in wanted)
    assert (result.answers.values[made.produced] != NO_LABEL).all()
    assert (result.answers.values[~made.produced] == NO_LABEL).all()
    assert (result.usable, result.expected) == (5, 5)


def test_labels_come_back_to_their_images(desk) -> None:
    def label(request: RunRequest) -> None:
        levels = {path.name: decode(path.read_bytes(), make.SIZE).pixels.mean() for path in images(request)}
        rows = [f"{name},{int(level) // 25}\n" for name, level in levels.items()]
        (request.output_dir / "result.csv").write_text("".join(rows))

    result = desk.run(label, "defense")
    assert result.answers.values.tolist() == desk.batch.labels.tolist()


def report(ending: Ending, **facts) -> Act:
    def act(request: RunRequest) -> RunReport:
        copy(request)
        return RunReport(ending, **facts)

    return act


ENDS = [
    (report(Ending.FINISHED, exit_code=0), Outcome.OK, 10),
    (report(Ending.FINISHED, exit_code=3), Outcome.EXITED_NONZERO, 10),
    (report(Ending.TIME_LIMIT), Outcome.TIME_LIMIT, 10),
    (report(Ending.MEMORY_LIMIT), Outcome.MEMORY_LIMIT, 10),
    (report(Ending.OUTPUT_LIMIT), Outcome.OUTPUT_LIMIT, 10),
    (None, Outcome.NO_OUTPUT, 0),
    (report(Ending.START_FAILED), Outcome.START_FAILED, 0),
    (report(Ending.HOST_ERROR, detail="the host"), Outcome.HOST_ERROR, 0),
    (report(Ending.CANCELLED), Outcome.CANCELLED, 0),
]


@pytest.mark.parametrize(("act", "outcome", "usable"), ENDS, ids=lambda value: value.value if isinstance(value, Outcome) else "")
def test_each_ending_has_its_outcome_and_its_outputs(desk, act, outcome, usable) -> None:
    result = desk.run(act)
    assert result.outcome is outcome
    assert result.usable == usable
    assert (result.made is not None) == bool(usable)
    assert not list(desk.work.glob("run-*"))


def test_a_refused_output_is_named_by_its_image(desk) -> None:
    def spoil(request: RunRequest) -> None:
        copy(request)
        (request.output_dir / images(request)[0].name).write_bytes(b"no picture")

    result = desk.run(spoil)
    assert result.outcome is Outcome.BAD_OUTPUT
    assert len(result.refused) == 1
    assert set(result.refused) <= set(desk.batch.ids)


def test_an_engine_that_went_away_is_the_hosts_fault(desk) -> None:
    desk.sandbox.prepare_fails = EngineError("gone.")
    result = desk.run()
    assert result.outcome is Outcome.HOST_ERROR
    assert "gone" in result.report.detail


def test_an_image_that_never_was_here_is_the_submissions_fault(desk) -> None:
    desk.sandbox.prepare_fails = ImageUnavailableError("no such image.")
    assert desk.run().outcome is Outcome.IMAGE_MISSING


def test_an_image_that_was_here_and_is_gone_is_the_hosts_fault(desk) -> None:
    desk.run(copy)
    desk.sandbox.prepare_fails = ImageUnavailableError("no such image.")
    assert desk.run().outcome is Outcome.HOST_ERROR
    desk.sandbox.prepare_fails = None
    result = desk.run(report(Ending.IMAGE_MISSING, detail="no such image"))
    assert result.outcome is Outcome.HOST_ERROR
    assert "was removed" in result.report.detail


def test_a_damaged_input_is_told_as_such(desk) -> None:
    made = desk.run(lambda request: copy(request, 4)).made
    desk.artifacts.blobs.path(artifact_name(made.digest, desk.dataset.pixels(desk.batch))).write_bytes(b"damaged")
    result = desk.run(label_all, "defense", input_digest=made.digest, produced=made.produced, clean=False)
    assert result.outcome is Outcome.HOST_ERROR
    assert result.corrupt_input == made.digest
    assert len(desk.sandbox.requests) == 1  # no program was started for it


def test_a_full_disk_while_storing_is_the_hosts_fault(desk, monkeypatch) -> None:
    def full(digest: str, clean: np.ndarray, data: bytes) -> int:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(desk.artifacts, "save", full)
    result = desk.run(copy)
    assert result.outcome is Outcome.HOST_ERROR
    assert result.made is None


def test_an_output_area_that_cannot_be_made_is_the_hosts_fault(desk, monkeypatch) -> None:
    def refuse(area: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.sandbox.output_area.OutputArea.__enter__", refuse)
    result = desk.run(copy)
    assert result.outcome is Outcome.HOST_ERROR
    assert "No space left" in result.report.detail


def read_scores(data: bytes, names: Sequence[str | None]) -> Reading:
    """A number for each image, as a track of its own might ask for."""
    scores = dict(line.split(",") for line in data.decode().splitlines())
    values = np.array([float(scores.get(name or "", "nan")) for name in names], np.float32)
    return Reading(Answers(values, ~np.isnan(values)))


def test_what_a_run_answers_is_for_its_tracks_row_to_say(desk, monkeypatch) -> None:
    row = replace(TRACKS["defense"], name="meter", output="scores.csv", reader=f"{__name__}:read_scores")
    monkeypatch.setitem(tracks._ROWS, "meter", row)

    def measure(request: RunRequest) -> None:
        levels = {path.name: decode(path.read_bytes(), make.SIZE).pixels.mean() for path in images(request)}
        (request.output_dir / "scores.csv").write_text("".join(f"{name},{level}\n" for name, level in levels.items()))

    produced = np.arange(10) != 3
    result = desk.run(measure, "meter", clean=True, produced=produced)
    assert (result.outcome, result.usable, result.expected) == (Outcome.OK, 9, 9)
    wanted = np.where(produced, desk.dataset.pixels(desk.batch).mean(axis=(1, 2, 3)), np.nan)
    np.testing.assert_allclose(result.answers.values, wanted, rtol=1e-6)
    assert result.answers.stored() == result.answers.values.tobytes()
    assert desk.run(None, "meter", clean=True, produced=produced).notes == ("There is no scores.csv.",)


def test_a_job_travels_without_true_labels(desk) -> None:
    desk.batch.labels[:] = [1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010]
    sent = pickle.dumps(desk.job())
    assert desk.batch.targets.tobytes() in sent
    assert desk.batch.labels.tobytes() not in sent
    job = pickle.loads(sent)
    assert (job.run_id, job.batch.ids, job.program.digest) == (1, desk.batch.ids, "digest")
    assert not hasattr(job.batch, "labels")


def test_no_stage_can_be_changed(desk) -> None:
    prepared = desk.executor.prepare(desk.job())
    performed = desk.executor.perform(prepared, None, threading.Event())
    result = desk.executor.collect(performed)
    assert [type(stage) for stage in (prepared, performed, result)] == [Prepared, Performed, RunResult]
    for stage in (prepared, performed, result, prepared.job):
        for field_ in fields(stage):
            with pytest.raises(FrozenInstanceError):
                setattr(stage, field_.name, None)


def test_a_stage_that_failed_is_handed_on(desk) -> None:
    desk.sandbox.prepare_fails = EngineError("gone.")
    failed = desk.executor.prepare(desk.job())
    assert isinstance(failed, RunResult)
    assert desk.executor.collect(desk.executor.perform(failed, None, threading.Event())) is failed
    assert desk.sandbox.requests == []
