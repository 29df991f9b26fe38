"""What was run on one base image is no result on another of the same name; what ran before images were told apart is kept."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.config import load
from harness.errors import ConfigError
from harness.sandbox.image_rules import BaseImage
from harness.sandbox.process import ProcessSandbox
from harness.scheduling.board import DONE, WAITING
from harness.scoring.leaderboard import build_leaderboard
from harness.store.base_images import Moved
from harness.tournament.machine import Watcher
from harness.tournament.results import load_results
from harness.tournament.run_round import Options, play_round
from harness.tournament.tournament import Tournament
from tests.e2e import make

LIGHT, FULL = make.IMAGE, "localhost/harness-full:1"
ASSET = Path(__file__).parent / "assets" / "contest-0.1.0.tar.gz"


class Pinning(ProcessSandbox):
    """Runs processes, and says of names of images what the test says."""

    def __init__(self, scratch: Path, names: dict[str, BaseImage]) -> None:
        super().__init__(scratch)
        self.names = names
        self.asked: list[str] = []

    def pin_base(self, reference, rules) -> BaseImage:
        assert not rules.pinned
        self.asked.append(reference)
        return self.names[reference]


class Noticed(Watcher):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


class Contest:
    """Two entries on the light image and one on the full one, three batches."""

    def __init__(self, root: Path, **sandbox: Any) -> None:
        self.root = root
        make.tournament(root, ("attack-darken", "defense-mean"), images=30, rules={"batch_size": 10}, sandbox=sandbox)
        make.entry(root / "entries" / "defense-full", "defense-centre", metadata={"container": FULL})
        self.names = {LIGHT: BaseImage("sha256:1", "light"), FULL: BaseImage("sha256:2", "full")}

    def __enter__(self):
        self.tournament = Tournament(load(self.root / "tournament.yaml"))
        self.tournament.submit_configured()
        return self

    def __exit__(self, *_) -> None:
        self.tournament.__exit__(None, None, None)

    def run(self, **options: Any):
        sandbox, watcher = Pinning(self.root / "scratch", self.names), Noticed()
        summary = play_round(self.tournament, self.tournament.dataset(), sandbox, Options(**options), watcher, lambda: False)
        self.asked = sandbox.asked
        return summary.progress.finished, watcher.said

    def waiting(self, name: str | None = None) -> dict[str, int]:
        """Runs that wait on the board, by submission."""
        opened = self.tournament.open_round(self.tournament.dataset(), sandbox="process", name=name, images=self.names)
        board, lineup = opened.board, opened.lineup
        found = {c.name: int((board.attack_state[n] == WAITING).sum()) for n, c in enumerate(lineup.attacks)}
        known = board.defense_state[: len(board.inputs)]
        return found | {c.name: int((known[:, n] == WAITING).sum()) for n, c in enumerate(lineup.defenses)}


@pytest.fixture
def contest(tmp_path):
    with Contest(tmp_path) as made:
        yield made


NOTHING = {"attack-darken": 0, "defense-mean": 0, "defense-full": 0}


def test_only_what_ran_on_the_other_image_runs_again(contest) -> None:
    assert contest.run() == (3 + 2 * 6, [])
    assert contest.run() == (0, [])
    contest.names[FULL] = BaseImage("sha256:3", "full with another torch")
    said = "is another image than before: 6 runs of a submission on it are repeated, and results on the earlier image are kept."
    assert contest.run() == (6, [f"{FULL} {said}"])
    assert contest.run() == (0, [])
    contest.names[FULL] = BaseImage("sha256:2", "full")
    assert contest.run() == (0, [])


@pytest.mark.parametrize(("image", "waiting"), [
    (BaseImage("sha256:3", "light"), NOTHING),
    (BaseImage("sha256:3", "light of today"), {"attack-darken": 3, "defense-mean": 3, "defense-full": 0}),
    (BaseImage(None, refusal="It is not here."), NOTHING),
], ids=["another id, the same identity", "another identity", "it cannot be had"])
def test_results_are_kept_by_identity(contest, image, waiting) -> None:
    contest.run()
    contest.names[LIGHT] = image
    assert contest.waiting() == waiting


def test_each_name_is_looked_up_once_and_what_cannot_be_had_is_said(contest) -> None:
    contest.names[FULL] = BaseImage(None, refusal="It is not here.")
    assert contest.run()[1] == ["defense-full: It is not here."]
    assert sorted(contest.asked) == [FULL, LIGHT]


def test_names_and_scores_stay_when_an_image_is_rebuilt(contest) -> None:
    def shown():
        board = build_leaderboard(load_results(contest.tournament, contest.tournament.dataset()))
        return sorted((row.name, row.score, row.coverage) for track in board.tracks.values() for row in track)

    contest.run()
    before = shown()
    contest.names[LIGHT] = BaseImage("sha256:3", "light of today")
    assert contest.waiting() != NOTHING
    assert [name for name, *_ in shown()] == [name for name, *_ in before]
    assert shown() != before
    contest.run()
    assert shown() == before


def test_a_named_round_stays_on_the_image_that_it_was_made_on(contest) -> None:
    contest.run(round_name="final")
    contest.names[FULL] = BaseImage("sha256:3", "full with another torch")
    with pytest.raises(ConfigError, match=rf"The round final was made on another image than {FULL} is now\."):
        contest.waiting("final")
    # Only what ran on the other image costs anything.
    assert contest.waiting("second") == NOTHING | {"defense-full": 6}
    contest.names[FULL] = BaseImage("sha256:4", "full")
    assert contest.waiting("final") == NOTHING


def test_a_named_round_made_on_a_later_image_stays_on_it(contest) -> None:
    contest.run()
    contest.names[LIGHT] = BaseImage("sha256:3", "light of today")
    contest.run(round_name="final")
    assert contest.waiting("final") == NOTHING
    contest.names[LIGHT] = BaseImage("sha256:1", "light")
    assert contest.waiting() == NOTHING
    with pytest.raises(ConfigError, match="was made on another image"):
        contest.waiting("final")


def test_an_image_for_hosts_with_a_gpu_is_one_of_its_own(contest) -> None:
    contest.run()
    contest.names["gpu:1"] = BaseImage("sha256:5", "cuda")
    make.entry(contest.root / "entries" / "third", "defense-mean", metadata={"container_gpu": "gpu:1"}, note="x")
    contest.tournament.submit_configured()
    opened = contest.tournament.open_round(contest.tournament.dataset(), sandbox="process", images=contest.names, gpu=True)
    images = {c.name: c.program.image for c in opened.lineup.defenses}
    assert images == {"defense-mean": LIGHT, "defense-full": FULL, "third": "gpu:1"}
    assert opened.board.counts()[DONE] == 0  # a GPU is a condition of its own


@pytest.fixture
def old(tmp_path):
    with tarfile.open(ASSET) as archive:
        archive.extractall(tmp_path / "contest", filter="data")
    with Tournament(load(tmp_path / "contest" / "tournament.yaml")) as tournament:
        tournament.submit_configured()
        yield tournament


def test_results_of_0_1_0_belong_to_the_first_image_that_is_seen(old) -> None:
    def opened(identity: str, name: str | None = None):
        return old.open_round(old.dataset(), sandbox="process", name=name, images={LIGHT: BaseImage("sha256:1", identity)})

    total = opened("first").board.counts()[DONE]
    assert opened("first").board.complete
    other = opened("second")
    assert other.moved == (Moved(LIGHT, total, 5),)
    assert other.board.counts()[DONE] == 0
    assert opened("second").moved == ()
    back = opened("first")
    assert back.board.complete
    assert back.board.counts()[DONE] == total


def test_a_named_round_of_0_1_0_is_on_the_first_image_that_is_seen(old) -> None:
    def opened(identity: str, name: str | None):
        return old.open_round(old.dataset(), sandbox="process", name=name, images={LIGHT: BaseImage("sha256:1", identity)})

    assert opened("first", "qualifying").board.complete
    assert not opened("second", None).board.complete
    with pytest.raises(ConfigError, match="The round qualifying was made on another image"):
        opened("second", "qualifying")


def test_without_names_of_images_everything_is_as_it_was(old) -> None:
    opened = old.open_round(old.dataset(), sandbox="process")
    assert opened.board.complete
    assert opened.moved == ()
