"""A tournament put together: configuration, data set, submissions and store become a lineup, a board and a scheduler.

This is what `harness run`, `validate` and `selftest` share. It makes no choices of its own: it turns rows into the values that
the pure modules work on, and writes their results back to the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from harness.config import Rules, TournamentConfig
from harness.dataset.load import Batch, Dataset
from harness.dataset.load import load as load_dataset
from harness.errors import ConfigError, DatasetError, SubmissionError, UnknownNameError
from harness.formats.images import pixel_digest
from harness.sandbox.base import Limits
from harness.sandbox.image_rules import BaseImage, ImageRules
from harness.scoring.records import repair
from harness.store import base_images, counters, rounds, submissions
from harness.store.artifacts import ArtifactStore, open_blobs
from harness.store.base_images import Based, Moved
from harness.store.damage import reopen
from harness.store.facade import Store, Transaction
from harness.store.forget import forget
from harness.store.values import Registered, StoredBatch, StoredRound, StoredSubmission
from harness.submission.discover import Configured, LeftOut, configured_names, load_configured
from harness.submission.load import Submission, freeze
from harness.submission.metadata import fold
from harness.tournament.choose_sandbox import Given
from harness.tournament.conditions import conditions_of, differences, limits_of
from harness.tournament.duels import pairs
from harness.tournament.round_loader import Round, RoundLoader
from harness.tracks import TRACKS, Access, attackers, consumes, detectors, duellists, labellers, labels, produces

DEFAULT_ROUND = "default"
#: The built-in opponent of every defense: the unchanged images.
CLEAN = "clean"


@dataclass(frozen=True)
class Fresh:
    """Results to forget on purpose, so that their runs are run again (`harness run --fresh`).

    Attributes:
        names: Whose results: the round's own versions.
        batch: Only those on the batch of this number in the round.
        against: Only those of consumers on what this attack made, or on the ``clean`` images; of attacks, those of their duels with
            this defense.
    """

    names: Collection[str]
    batch: int | None = None
    against: str | None = None


class RunsLeft(Exception):  # noqa: N818 - nobody's error: who asks for a complete round only catches it
    """A round that was to be opened only if complete has something to run; nothing was changed."""


@dataclass(frozen=True)
class TakingPart:
    """Who takes part in a round.

    Attributes:
        members: All of them.
        started: Those whose programs may be started.
        left_out: Of each submission that takes no part for its threat or access, a sentence.
        images: What holds for their images.
    """

    members: Sequence[StoredSubmission]
    started: Sequence[StoredSubmission]
    left_out: Sequence[str]
    images: ImageRules


class Tournament:
    """An open tournament. A context manager: leaving it closes the database.

    Args:
        config: The tournament file.
        create: Whether to make the state directory where it is absent.
    """

    def __init__(self, config: TournamentConfig, *, create: bool = True) -> None:
        self.config = config
        self.store = Store(config.state, create=create)

    def __enter__(self) -> Self:
        """The tournament itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Close the database."""
        self.store.close()

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """What attacks made.

        Raises:
            StoreError: The place that the tournament file names cannot be used.
        """
        return ArtifactStore(open_blobs(self.config.store.artifacts, self.config.state))

    def dataset(self) -> Dataset:
        """The data set, checked against its digest.

        Raises:
            DatasetError: It is missing or does not match.
        """
        return load_dataset(self.config.dataset)

    def submit(self, submission: Submission, *, source: str, replace: bool = False) -> Registered:
        """Freeze a submission's code and register it.

        Args:
            submission: As loaded.
            source: Where it was read from: an absolute path, or an image's reference.
            replace: Whether it may take a name that is another's.

        Raises:
            SubmissionError: It cannot be copied, or its name is not its own.
        """
        configured = configured_names(self.config)
        own = source in configured.values()
        if not own and (other := configured.get(fold(submission.name))):
            raise SubmissionError(f"{source} has the name of {other}, which the tournament file names.",
                                  "Give it another name with --name, or take that one out of the file.")
        if not replace:
            # Before a copy is made; registering asks again, since another may have come meanwhile.
            with self.store.read() as transaction:
                submissions.check(transaction, submission, source=source, own=own)
        frozen = freeze(submission, self.config.state / "submissions")
        with self.store.write() as transaction:
            return submissions.register(transaction, frozen, source=source, own=own, replace=replace)

    def submit_configured(self) -> list[Registered]:
        """Register what the tournament file names: all of it or, where one is refused, nothing; as ``register`` and its loading."""
        return self.register(load_configured(self.config))

    def register(self, configured: Sequence[Configured], left_out: LeftOut | None = None) -> list[Registered]:
        """Register what the tournament file names: all of it or, where one is refused, nothing.

        Args:
            configured: As loaded.
            left_out: Called with each that only a glob names and whose name is another's; where None, it is an error.

        Raises:
            SubmissionError: One cannot be used.
        """
        for each in configured:
            freeze(each.submission, self.config.state / "submissions")
        registered = []
        with self.store.write() as transaction:
            for each in configured:
                try:
                    registered.append(submissions.register(transaction, each.submission, source=each.source, own=True))
                except SubmissionError as error:
                    if left_out is None or each.by_itself:
                        raise
                    left_out(each.source, error)
        return registered

    def taking_part(self, round_name: str | None = None, only: Collection[str] = ()) -> TakingPart:
        """Who takes part in a round, before anything is written for it.

        Args:
            round_name: As for ``open_round``.
            only: As for ``open_round``; every defense is run on what a wanted attack makes.
        """
        with self.store.write() as transaction:
            _, members, left_out = self._members(transaction, round_name)
            images = _image_rules(transaction, self.config)
        wanted = _spelt(only, members)
        attacks = any(produces(member.type) for member in members if member.name in wanted)
        # A wanted defense is the opponent of those that meet one at a time.
        met = {member.id for member in duellists(members) if any(labels(m.type) for m in members if m.name in wanted)}
        started = [member for member in members
                   if not only or member.name in wanted or (attacks and consumes(member.type)) or member.id in met]
        return TakingPart(members, started, left_out, images)

    def _members(self, transaction: Transaction,
                 name: str | None) -> tuple[StoredRound | None, list[StoredSubmission], list[str]]:
        """A round that a person named and that is made, with its members; else who takes part now, and why others do not."""
        made = rounds.named(transaction, name) if name is not None else None
        if made is not None:
            return made, rounds.members(transaction, made.id), []
        active = submissions.active(transaction)
        lacking = {member.id: why for member in active if (why := takes_no_part(member, self.config.rules))}
        return None, [member for member in active if member.id not in lacking], list(lacking.values())

    def withdraw(self, name: str) -> str:
        """Take a submission out of the tournament and of the default round, at once; rounds that a person named keep it.

        Returns:
            Its name as it was registered.

        Raises:
            UnknownNameError: No submission of that name takes part.
        """
        with self.store.write() as transaction:
            return submissions.withdraw(transaction, name, DEFAULT_ROUND).name

    def open_round(self, dataset: Dataset, *, sandbox: str, name: str | None = None, only: Collection[str] = (),
                   gpu: bool = False, fresh: Fresh | None = None, images: Mapping[str, BaseImage] | None = None,
                   complete_only: bool = False) -> Round:
        """Bring a round to the state that the store knows: all of it or, where something is refused, nothing.

        Args:
            dataset: The loaded data set.
            sandbox: Name of the sandbox that runs will use; results of another one do not count.
            name: A named round keeps the members and rules it was made with; None is the default one, which follows the file.
            only: Submissions whose runs are wanted; empty for all.
            gpu: Whether runs will have a GPU (then ``container_gpu`` is used).
            fresh: Results to forget first.
            images: What the names of base images stand for until the round has ended; others are looked up when they are met.
            complete_only: Whether only a round with nothing to run is opened, because nothing is there yet that could run it.

        Raises:
            RunsLeft: With ``complete_only``, there is something to run.
            ConfigError: The named round was made under other conditions than the file's, or on other images, whose results would go
                under its own.
            DatasetError: The round was made with another data set.
            UnknownNameError: A name in ``only`` takes no part, or ``fresh`` names what is not there.
        """
        with self.store.write() as transaction:
            made, members, _ = self._members(transaction, name)
            based = _based(members, images or {}, gpu=gpu)
            image_rules = replace(_image_rules(transaction, self.config), pinned=images or {})
            row, rules, batches, stored = self._round(transaction, dataset, sandbox, made, name or DEFAULT_ROUND, members, gpu=gpu)
            moved: list[Moved] = []
            if made is None:
                row, moved = base_images.follow(transaction, row, based, self.config.sandbox.isolation)
            elif changed := base_images.changed(transaction, row, based):
                raise ConfigError(
                    f"The round {row.name} was made on another image than {' and '.join(changed)} is now.",
                    "Put that image back, or start another round: it takes over all results on images that are the same.")
            _check_members(members, rules)
            damaged = reopen(transaction, {(m.id, these) for m in members for these in row.both_conditions_of(m)})
            # A leaderboard does not see a run without its record: it is made again from the labels, which are kept.
            repair(transaction, {held.id: batch for held, batch in zip(stored, batches, strict=True)})
            wanted = _spelt(only, members)
            unknown = wanted - {member.name for member in members}
            if unknown:
                raise UnknownNameError(f"There is no submission {min(unknown)!r} in this round.",
                                       "`harness submissions` lists them.")
            if fresh is not None:
                _forget(transaction, row, members, stored, rules, fresh)
            loader = RoundLoader(transaction, self.config, row, rules, image_rules, gpu, dataset, self.artifacts,
                                 partial(self.limits, rules=rules))
            round_ = replace(loader.load(members, batches, stored, wanted), moved=tuple(moved), damaged=damaged)
            if complete_only and (moved or damaged or not round_.board.complete):
                raise RunsLeft
            return round_

    def had_gpu(self, name: str | None) -> bool | None:
        """Whether the results of a round were obtained on a GPU; None where there is no such round yet."""
        with self.store.read() as transaction:
            row = rounds.named(transaction, name or DEFAULT_ROUND)
            return None if row is None else bool(rounds.conditions(transaction, row.conditions_id).get("gpu"))

    def limits(self, member: StoredSubmission, rules: Rules) -> Limits:
        """What a member's runs may use under a round's rules: as much as all others' may."""
        del member
        return limits_of(rules, self.config.sandbox)

    def _round(self, transaction: Transaction, dataset: Dataset, sandbox: str, known: StoredRound | None, name: str,
               members: Sequence[StoredSubmission], *,
               gpu: bool) -> tuple[StoredRound, Rules, tuple[Batch, ...], list[StoredBatch]]:
        """The row of a round that is known, or one made or brought up to the file, with its rules and batches."""
        if known is not None and known.dataset_digest != dataset.digest:
            raise DatasetError(f"The round {name} was made with another data set than {self.config.dataset}.",
                               "Name that data set in the tournament file, or start another round.")
        # A round that a person named keeps the rules and members that it was made with.
        rules = self.config.rules if known is None else Rules.stored(known.rules)
        conditions = [conditions_of(rules, self.config.sandbox, backend=sandbox, isolation=isolation, gpu=gpu)
                      for isolation in ("run", "submission")]
        if known is not None:
            _check_conditions(transaction, known, conditions[0])
        batches = dataset.batches(rules.batch_size, rules.bounds)
        stored = rounds.ensure_batches(transaction, batches, dataset.digest, lambda b: _clean_digest(dataset, b))
        if known is None:
            once, served = (rounds.ensure_conditions(transaction, these) for these in conditions)
            known = rounds.ensure(transaction, name, self.config.name, dataset.digest, rules.model_dump_json(), (once, served),
                                  stored, members)
        return known, rules, batches, stored

    def read(self) -> AbstractContextManager[Transaction]:
        """One snapshot of the store, to ask it for plain values (``harness.store.rounds``, ``submissions``, ...)."""
        return self.store.read()

    @property
    def label(self) -> str:
        """Of this tournament's containers and images."""
        return label_of(self.config)

    def image_rules(self) -> ImageRules:
        """What holds for images here: the organiser's patterns, images that are submissions, the secret of code images."""
        with self.store.write() as transaction:
            return _image_rules(transaction, self.config)


def refuse_untrusted(submissions: Iterable[Given], *, isolated: bool, trusted: bool) -> None:
    """Refuse someone else's archive or image where it would run without isolation.

    Directories are trusted; archives and images are not, unless a person says so. Asked
    wherever something is accepted or about to run: what was accepted under Docker must not run without it unnoticed.

    Args:
        submissions: What is accepted, or would run.
        isolated: Whether the sandbox isolates.
        trusted: Whether the person said ``--trust-process-sandbox`` to this very command.

    Raises:
        SubmissionError: Nothing would hold one of them.
    """
    if isolated or trusted:
        return
    for given in submissions:
        if given.kind != "directory":
            raise SubmissionError(f"{given.name} is an {given.kind} and would run without isolation, with all rights of your user.",
                                  "Start Docker (`harness doctor` says what is missing), or pass --trust-process-sandbox if you "
                                  "wrote it yourself.")


class _Threatening(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def threat(self) -> str: ...
    @property
    def access(self) -> str: ...


def takes_no_part(submission: _Threatening, rules: Rules) -> str:
    """Why a submission takes no part under these rules, as a sentence; empty where it does."""
    if not TRACKS[submission.type].takes_bound:
        return ""
    without = f"{submission.name} does not take part: its"
    if submission.threat not in rules.bounds:
        return f"{without} threat is {submission.threat}, and the tournament has {', '.join(rules.bounds)}."
    has = (Access.BLACK_BOX, *rules.access)
    return "" if submission.access in has else f"{without} access is {submission.access}, and the tournament has {', '.join(has)}."


def _check_members(members: Sequence[StoredSubmission], rules: Rules) -> None:
    """Refuse a round in which an entry could never do anything."""
    scorers = detectors(members)
    if scorers and not attackers(members):
        black_box = "black-box attack" if duellists(members) else "attack"
        raise ConfigError(f"The detector {scorers[0].name} has no images to score: no {black_box} takes part in the round.",
                          f"Submit a {black_box}, or leave the detectors out." if duellists(members) else
                          "Submit an attack, or leave the detectors out.")
    if rules.rejection is not None and not labellers(members):
        raise ConfigError("rules.rejection is set, but no defense takes part in the round.",
                          "Submit a defense, or leave rules.rejection out.")


def label_of(config: TournamentConfig) -> str:
    """The label of a tournament's containers and images: its name and the directory of its state."""
    return f"{config.name}@{config.state}"


def _image_rules(transaction: Transaction, config: TournamentConfig) -> ImageRules:
    # The key of code images' tags is a secret of this database.
    return ImageRules(config.sandbox.images, submissions.images(transaction), label_of(config),
                      counters.secret(transaction, "images"), stand_ins=config.stand_ins)


def _check_conditions(transaction: Transaction, row: StoredRound, now: Mapping[str, object]) -> None:
    """Refuse to record runs of today's sandbox under conditions that name another."""
    differ = differences(rounds.conditions(transaction, row.conditions_id), now)
    if differ:
        raise ConfigError(f"The round {row.name} was made with {', and '.join(differ)}.",
                          "Put that back, or start another round.")


def _based(members: Sequence[StoredSubmission], images: Mapping[str, BaseImage], *, gpu: bool) -> list[Based]:
    return [Based(member, reference, images[reference].identity) for member in members
            if member.kind != "image" and (reference := member.image(gpu=gpu)) in images]


def _spelt(names: Collection[str], members: Sequence[StoredSubmission]) -> frozenset[str]:
    """Names that a person typed in any case, as the members have them."""
    exact = {member.name for member in members}
    folded = {fold(member.name): member.name for member in members}
    return frozenset(name if name in exact else folded.get(fold(name), name) for name in names)


def _forget(transaction: Transaction, row: StoredRound, members: Sequence[StoredSubmission], batches: Sequence[StoredBatch],
            rules: Rules, fresh: Fresh) -> None:
    # A named round may hold an older version than the one that takes part now.
    own = {member.name: member for member in members}

    def known(name: str) -> StoredSubmission:
        (spelt,) = _spelt([name], members)
        return own[spelt] if spelt in own else submissions.find(transaction, name)

    if fresh.batch is not None and fresh.batch >= len(batches):
        raise UnknownNameError(f"There is no batch {fresh.batch} in the round {row.name}.",
                               f"Its batches are 0 to {len(batches) - 1}.")
    whose = [known(name) for name in fresh.names]
    drop = partial(forget, transaction, [each.id for each in whose],
                   batch=None if fresh.batch is None else batches[fresh.batch].id)
    opponent = None if fresh.against in {None, CLEAN} else known(str(fresh.against))
    met = [pair for pair in pairs(transaction, members, rules, batches) if pair.opponent == opponent and pair.attack in whose]
    answers = any(consumes(each.type) for each in whose)
    if fresh.against is None:
        drop()
    elif met:
        drop(on={given for pair in met for given in pair.inputs if given})
    elif answers and opponent is None:
        drop(clean=True)
    elif answers and opponent is not None and not consumes(opponent.type):
        drop(made_by=opponent.id)
    else:
        # To drop nothing, and say that nothing is left to run, would be wrong.
        raise UnknownNameError(
            f"{', '.join(fresh.names)} has no results against {fresh.against} in the round {row.name}.",
            "--against names an attack or `clean` for a defense or detector, and for an attack a defense that it meets in duels.")


def _clean_digest(dataset: Dataset, batch: Batch) -> str:
    pixels = dataset.pixels(batch)
    return pixel_digest(pixels, np.ones(len(pixels), bool))

