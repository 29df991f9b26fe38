"""A tournament put together: configuration, data set, submissions and store become a field, a board and a scheduler.

This is what `harness run`, `validate` and `selftest` share. It makes no choices of its own: it turns rows into the values that
the pure rooms work on, and gives what they say back to the store.
"""

from __future__ import annotations

import glob
import json
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from harness.archive import bare_name
from harness.conditions import conditions_of, differences, limits_of
from harness.config import Rules, TournamentConfig
from harness.contestants import Books, Contestant, Field, Shelved
from harness.dataset import Batch, Dataset
from harness.dataset import load as load_dataset
from harness.errors import ConfigError, DatasetError, SubmissionError, UnknownNameError
from harness.images import pixel_digest
from harness.mixing import mixed_inputs
from harness.plan import DONE, DROPPED, NO_INPUT, WAITING, Board, PlannedInput
from harness.sandbox.base import Limits, Profile, Program
from harness.sandbox.image_rules import ImageRules
from harness.sandbox.outcomes import Outcome
from harness.score_records import repair
from harness.store import owners, registry, round_state
from harness.store.database import explain
from harness.store.facade import Store, Transaction
from harness.store.models import AttemptRow, BatchRow, ConditionsRow, CounterRow, InputRow, RoundRow, RunRow, SubmissionRow
from harness.submission import Submission, freeze, read_metadata_file
from harness.submission import load as load_submission
from harness.tracks import consumers, consumes, producers, produces

DEFAULT_ROUND = "default"
#: The built-in opponent of every defense: the unchanged images.
CLEAN = "clean"
#: Is told of a source that is left out, and why.
LeftOut = Callable[[str, SubmissionError], None]


@dataclass(frozen=True)
class Round:
    """A round ready to be scheduled."""

    name: str
    field: Field
    board: Board
    books: Books


@dataclass(frozen=True)
class Fresh:
    """Results to forget on purpose, so that their runs are run again (`harness run --fresh`).

    Attributes:
        names: Whose results: the round's own versions.
        batch: Only those on the batch of this number in the round.
        against: Only those of defenses on what this attack made, or on the ``clean`` images.
    """

    names: Collection[str]
    batch: int | None = None
    against: str | None = None


class Tournament:
    """An open tournament. A context manager: leaving it closes the database.

    Args:
        config: The tournament file.
        create: Whether to make the state directory where it is absent.
    """

    def __init__(self, config: TournamentConfig, *, create: bool = True) -> None:
        self.config = config
        self.store = Store(config.state, create=create)
        self.db = self.store.engine
        self.artifacts = self.store.artifacts
        self._stack = ExitStack()
        self._stack.callback(self.store.close)

    def __enter__(self) -> Self:
        """The tournament itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        """Close the database."""
        self._stack.close()

    def session(self) -> Session:
        """A database session whose objects stay readable after a commit."""
        return Session(self.db, expire_on_commit=False)

    def dataset(self) -> Dataset:
        """The data set, checked against its digest.

        Raises:
            DatasetError: It is missing or does not match.
        """
        return load_dataset(self.config.dataset)

    def submit(self, submission: Submission, *, source: str, replace: bool = False) -> registry.Registered:
        """Freeze a submission's code and register it.

        Args:
            submission: As loaded.
            source: Where it was read from: an absolute path, or an image's reference.
            replace: Whether it may take a name that is another's.

        Raises:
            SubmissionError: It cannot be copied, or its name is not its own.
        """
        configured = _configured_names(self.config)
        own = source in configured.values()
        if not own and (other := configured.get(owners.fold(submission.name))):
            raise SubmissionError(f"{source} has the name of {other}, which the tournament file names.",
                                  "Give it another name with --name, or take that one out of the file.")
        with explain(self.config.database), self.session() as session:
            if not replace:
                owners.check(Transaction(session), submission, source=source, own=own)
        frozen = freeze(submission, self.config.state / "submissions")
        with explain(self.config.database), self.session() as session, session.begin():
            return _register(session, frozen, source=source, own=own, replace=replace)

    def submit_configured(self, loaded: Mapping[str, Submission] | None = None,
                          left_out: LeftOut | None = None) -> list[registry.Registered]:
        """Register what the tournament file names: all of it or, where one is refused, nothing.

        Args:
            loaded: What ``load_configured`` found; it is called where None.
            left_out: Is told of each that only a glob names and whose name is another's; where None, it is an error.

        Raises:
            SubmissionError: One cannot be used.
        """
        loaded = load_configured(self.config) if loaded is None else loaded
        frozen = {source: freeze(submission, self.config.state / "submissions") for source, submission in loaded.items()}
        registered = []
        with explain(self.config.database), self.session() as session, session.begin():
            for source, submission in frozen.items():
                with _leaving_out(self.config, source, left_out):
                    owners.check(Transaction(session), submission, source=source, own=True)
                    registered.append(_register(session, submission, source=source, own=True, replace=False))
        return registered

    def members(self, round_name: str | None = None, only: Collection[str] = ()) -> list[SubmissionRow]:
        """The submissions whose programs a round may start, before anything is written for it.

        Args:
            round_name: As for ``open_round``.
            only: As for ``open_round``; every defense is run on what a wanted attack makes.
        """
        with explain(self.config.database), self.session() as session:
            known = registry.round_named(session, round_name) if round_name is not None else None
            members = registry.active(session) if known is None else registry.round_submissions(session, known.id)
        wanted = _spelt(only, members)
        attacks = any(produces(member.type) for member in members if member.name in wanted)
        return [member for member in members
                if not only or member.name in wanted or (attacks and consumes(member.type))]

    def withdraw(self, name: str) -> str:
        """Take a submission out of the tournament and of the default round, at once; rounds that a person named keep it.

        Returns:
            Its name as it was registered.

        Raises:
            UnknownNameError: No submission of that name takes part.
        """
        with explain(self.config.database), self.session() as session, session.begin():
            return registry.withdraw(session, name, DEFAULT_ROUND).name

    def open_round(self, dataset: Dataset, *, sandbox: str, name: str | None = None, only: Collection[str] = (),
                   gpu: bool = False, fresh: Fresh | None = None) -> Round:
        """Bring a round to the state that the store knows: all of it or, where something is refused, nothing.

        Args:
            dataset: The loaded data set.
            sandbox: Name of the sandbox that runs will use; results of another one do not count.
            name: A named round keeps the members and rules it was made with; None is the default one, which follows the file.
            only: Submissions whose runs are wanted; empty for all.
            gpu: Whether runs will have a GPU (then ``container_gpu`` is used).
            fresh: Results to forget first.

        Raises:
            ConfigError: The named round was made under other conditions than the file's, whose results would go under its own.
            DatasetError: The round was made with another data set.
            UnknownNameError: A name in ``only`` takes no part, or ``fresh`` names what is not there.
        """
        with explain(self.config.database), self.session() as session, session.begin():
            row, rules = self._round_row(session, dataset, sandbox, name, gpu=gpu)
            members = registry.round_submissions(session, row.id)
            batches = dataset.batches(rules.batch_size, rules.max_epsilon)
            rows = registry.ensure_batches(session, batches, dataset.digest, lambda b: _clean_digest(dataset, b))
            # A leaderboard does not see a run without its record: it is made again from the labels, which are kept.
            repair(session.connection(), {row.id: batch for row, batch in zip(rows, batches, strict=True)})
            wanted = _spelt(only, members)
            unknown = wanted - {member.name for member in members}
            if unknown:
                raise UnknownNameError(f"There is no submission {min(unknown)!r} in this round.",
                                       "`harness submissions` lists them.")
            if fresh is not None:
                _forget(session, row, members, rows, fresh)
            loader = _RoundLoader(self, session, row, rules, _image_rules(session, self.config), gpu=gpu)
            return loader.load(members, batches, rows, wanted)

    def _round_row(self, session: Session, dataset: Dataset, sandbox: str, name: str | None, *,
                   gpu: bool) -> tuple[RoundRow, Rules]:
        rules = self.config.rules
        known = registry.round_named(session, name) if name is not None else None
        if known is not None:
            if known.dataset_digest != dataset.digest:
                raise DatasetError(f"The round {name} was made with another data set than {self.config.dataset}.",
                                   "Name that data set in the tournament file, or start another round.")
            kept = Rules.stored(known.rules)
            self._check_conditions(session, known, self._conditions(kept, sandbox, "run", gpu=gpu))
            return known, kept
        batches = registry.ensure_batches(session, dataset.batches(rules.batch_size, rules.max_epsilon), dataset.digest,
                                          lambda b: _clean_digest(dataset, b))
        conditions = tuple(
            registry.ensure_conditions(session, self._conditions(rules, sandbox, isolation, gpu=gpu))
            for isolation in ("run", "submission"))
        row = registry.ensure_round(
            session, name or DEFAULT_ROUND, self.config.name, dataset.digest, rules.model_dump_json(),
            (conditions[0], conditions[1]), batches, registry.active(session), frozen=False)
        return row, rules

    def _check_conditions(self, session: Session, row: RoundRow, now: Mapping[str, object]) -> None:
        """Refuse to record runs of today's sandbox under conditions that say another."""
        made = json.loads(session.get_one(ConditionsRow, row.conditions_id).text)
        differ = differences(made, now)
        if differ:
            raise ConfigError(f"The round {row.name} was made with {', and '.join(differ)}.",
                              "Put that back, or start another round.")

    def _conditions(self, rules: Rules, sandbox: str, isolation: str, *, gpu: bool) -> dict[str, object]:
        return conditions_of(rules, self.config.sandbox, backend=sandbox, isolation=isolation, gpu=gpu)

    def program(self, row: SubmissionRow, rules: ImageRules, *, gpu: bool = False) -> Program:
        """What the sandbox starts for a registered submission."""
        image = row.container_gpu if gpu and row.container_gpu else row.container
        code = self.config.state / "submissions" / row.digest if row.kind != "image" else None
        return Program(digest=row.digest, image=image or None, code_dir=code, entry_point=row.entry_point or None,
                       profile=cast("Profile", row.profile), serves=row.serves, rules=rules)

    def read(self) -> AbstractContextManager[Transaction]:
        """One snapshot of the store, to ask it for plain values (``harness.store.rounds``, ``submissions``, ...)."""
        return self.store.read()

    @property
    def label(self) -> str:
        """Of this tournament's containers and images."""
        return label_of(self.config)

    def image_rules(self) -> ImageRules:
        """What holds for images here: the organiser's patterns, images that are submissions, the secret of code images."""
        with explain(self.config.database), self.session() as session, session.begin():
            return _image_rules(session, self.config)


@dataclass
class _RoundLoader:
    """Puts the store's results on a new board."""

    tournament: Tournament
    session: Session
    row: RoundRow
    rules: Rules
    images: ImageRules
    gpu: bool

    def load(self, members: Sequence[SubmissionRow], batches: tuple[Batch, ...], rows: Sequence[BatchRow],
             only: frozenset[str]) -> Round:
        inputs = round_state.inputs_of(self.session, rows)
        positions = {row.id: position for position, row in enumerate(rows)}
        task_ids = {stored.batch_id: stored.id for stored in inputs.values() if stored.kind == "task"}
        clean = sorted((i for i in inputs.values() if i.kind == "clean"), key=lambda i: positions[i.batch_id])
        medians = round_state.median_times(self.session.connection(), [m.id for m in members])
        attacks, defenses = producers(members), consumers(members)
        planned = {i.id: PlannedInput(positions[i.batch_id], i.digest, i.id, registry.unpack_bits(
            i.produced, len(batches[positions[i.batch_id]].ids))) for i in inputs.values() if i.kind != "task"}
        field = Field(
            tuple(self._contestant(m, medians) for m in attacks), tuple(self._contestant(m, medians) for m in defenses),
            batches, tuple(row.id for row in rows), tuple(task_ids[row.id] for row in rows), self.rules.mixed_batches,
            {"tournament": self.tournament.label})
        board = Board(len(attacks), len(defenses), [planned[i.id] for i in clean],
                      labelled="mixed" if self.rules.mixed_batches else "direct")
        books = self._fill(board, field, planned)
        board.prune()
        if only:
            _restrict(board, field, only)
        return Round(self.row.name, field, board, books)

    def _limits(self) -> Limits:
        """The file's, as far as the round has no rule of its own."""
        return limits_of(self.rules, self.tournament.config.sandbox)

    def _contestant(self, member: SubmissionRow, medians: dict[int, float]) -> Contestant:
        isolation = self.tournament.config.sandbox.isolation
        return Contestant(
            stored_id=member.id, name=member.name, track=member.type,
            program=self.tournament.program(member, self.images, gpu=self.gpu), limits=self._limits(),
            conditions_id=round_state.conditions_of(self.row, member, isolation=isolation),
            served=isolation == "submission" and member.serves, expected_s=medians.get(member.id, float("nan")))

    def _fill(self, board: Board, field: Field, planned: dict[int, PlannedInput]) -> Books:
        connection = self.session.connection()
        attacks_done = self._fill_attacks(board, field, planned)
        if field.mixed:
            self._fill_mixed(board, {(p.batch, p.digest): p.stored_id for p in planned.values()}, field.batch_ids)
        shelved = self._fill_defenses(board, field, planned)
        next_run, next_input = round_state.next_ids(connection)
        conditions = {c.stored_id: c.conditions_id for c in (*field.attacks, *field.defenses)}
        unfinished = {(s, i): where for (s, i, c), where in round_state.unfinished_runs(connection).items()
                      if conditions.get(s) == c}
        suspects = round_state.suspects(connection, Outcome.HOST_ERROR)
        return Books(next_run, next_input, unfinished, attacks_done, shelved, suspects)

    def _fill_attacks(self, board: Board, field: Field,
                      planned: dict[int, PlannedInput]) -> dict[tuple[int, int], tuple[int, int]]:
        entry_of = {c.stored_id: entry for entry, c in enumerate(field.attacks)}
        item_of = {task: item for item, task in enumerate(field.task_input_ids)}
        pairs = [(c.stored_id, c.conditions_id) for c in field.attacks]
        done = {}
        for submission, task_input, output, run, attempt in round_state.done_runs(self.session.connection(), pairs).tolist():
            item = item_of.get(task_input)
            if item is None:
                continue
            made = NO_INPUT
            if output:
                made = board.add_input(planned[output])
            entry = entry_of[submission]
            board.attack_state[entry, item], board.attack_input[entry, item] = DONE, made
            done[submission, task_input] = (run, attempt)
        return done

    def _fill_mixed(self, board: Board, known: dict[tuple[int, str], int], batch_ids: Sequence[int]) -> None:
        """Put the mixed inputs of finished batches on the board, with rows for those that a killed harness did not make."""
        _, next_input = round_state.next_ids(self.session.connection())
        for batch in range(board.batches):
            sources = board.sources(batch)
            for planned, parts in mixed_inputs(board.inputs, sources, batch) if sources else ():
                stored = known.get((batch, planned.digest))
                if stored is None:
                    stored, next_input = next_input, next_input + 1
                    self.session.add(InputRow(
                        id=stored, batch_id=batch_ids[batch], kind="mixed", digest=planned.digest,
                        produced=registry.pack_bits(planned.produced), parts=parts.tobytes()))
                board.add_input(replace(planned, stored_id=stored), direct=True)
        self.session.flush()

    def _fill_defenses(self, board: Board, field: Field,
                       planned: dict[int, PlannedInput]) -> dict[tuple[int, str], Shelved]:
        """Put the defenses' results on the board; returns the inputs that are not on it, with theirs."""
        on_board = {p.stored_id for p in board.inputs}
        shelved = {p.stored_id: Shelved(p.stored_id) for p in planned.values() if p.stored_id not in on_board}
        pairs = [(c.stored_id, c.conditions_id) for c in field.defenses]
        rows = round_state.done_pairs(self.session.connection(), pairs)
        if len(rows):
            self._mark_defenses(board, field, rows)
            position = {c.stored_id: entry for entry, c in enumerate(field.defenses)}
            for submission, input_id in rows[np.isin(rows[:, 1], list(shelved))].tolist():
                found = shelved[input_id]
                shelved[input_id] = replace(found, done=(*found.done, position[submission]))
        return {(planned[stored].batch, planned[stored].digest): found for stored, found in shelved.items()}

    @staticmethod
    def _mark_defenses(board: Board, field: Field, rows: round_state.Rows) -> None:
        stored_ids = [planned.stored_id for planned in board.inputs]
        index_of = np.full(max(int(rows[:, 1].max()), *stored_ids) + 1, -1, np.int64)
        index_of[stored_ids] = np.arange(len(board.inputs))
        entry_of = np.zeros(int(rows[:, 0].max()) + 1, np.int64)
        for entry, contestant in enumerate(field.defenses):
            if contestant.stored_id < len(entry_of):
                entry_of[contestant.stored_id] = entry
        items = index_of[rows[:, 1]]
        known = items >= 0
        board.defense_state[items[known], entry_of[rows[known, 0]]] = DONE


def load_configured(config: TournamentConfig, left_out: LeftOut | None = None) -> dict[str, Submission]:
    """What the globs of the tournament file name, by source; nothing is written.

    Args:
        config: The tournament file.
        left_out: Is told of each that cannot be used and that only a glob names; where None, it is an error. One broken
            directory among a hundred shall not end a contest; one that is named by itself is missed.

    Raises:
        SubmissionError: A glob matches nothing, two have one name or one content, or one cannot be used.
    """
    loaded: dict[str, Submission] = {}
    known: dict[str, str] = {}
    for source in _sources(config):
        with _leaving_out(config, source, left_out):
            loaded[source] = load_submission(source)
    for source, submission in loaded.items():
        name = owners.fold(submission.name)
        if name in known:
            raise SubmissionError(f"{known[name]} and {source} are both named {submission.name}.",
                                  "Give one of them another `name` in its metadata.json.")
        if submission.digest in known:
            raise SubmissionError(f"{known[submission.digest]} and {source} have the same content.",
                                  "Change the content of one of them, or leave it out.")
        known[name] = known[submission.digest] = source
    return loaded


def _sources(config: TournamentConfig) -> list[str]:
    """The paths that the tournament file names, each once."""
    found: dict[str, None] = {}
    for pattern in config.submissions:
        sources = sorted(path for path in glob.glob(pattern) if not Path(path).name.startswith("."))  # noqa: PTH207
        if not sources:
            raise SubmissionError(f"`submissions: {pattern}` in the tournament file matches nothing.",
                                  "Correct the path, or remove the line.")
        found |= dict.fromkeys(sources)
    return list(found)


@contextmanager
def _leaving_out(config: TournamentConfig, source: str, left_out: LeftOut | None) -> Iterator[None]:
    """Report what cannot be used and goes on, where only a glob names it."""
    try:
        yield
    except SubmissionError as error:
        if left_out is None or source in _named(config):
            raise
        left_out(source, error)


def _named(config: TournamentConfig) -> set[str]:
    """The paths that the tournament file names by themselves, without wildcards."""
    plain = (re.sub(r"\[([*?[])\]", r"\1", pattern) for pattern in config.submissions
             if not glob.has_magic(re.sub(r"\[[*?[]\]", "", pattern)))
    return set(plain)


def _configured_names(config: TournamentConfig) -> dict[str, str]:
    """Sources that the tournament file names, by the name each has without being unpacked."""
    names: dict[str, str] = {}
    for pattern in config.submissions:
        for source in glob.glob(pattern):  # noqa: PTH207
            path = Path(source)
            metadata = read_metadata_file(path)[0] if path.is_dir() else None
            own = path.name if path.is_dir() else bare_name(path)
            names[owners.fold((metadata and metadata.name) or own)] = source
    return names


def _register(session: Session, submission: Submission, *, source: str, own: bool, replace: bool) -> registry.Registered:
    registered = registry.register(session, submission, source=source, replace=replace)
    if own or "team" in submission.said:
        owners.confirm(Transaction(session), registered.row.id)
    return registered


def label_of(config: TournamentConfig) -> str:
    """The label of a tournament's containers and images: its name and the directory of its state."""
    return f"{config.name}@{config.state}"


def _image_rules(session: Session, config: TournamentConfig) -> ImageRules:
    taken = session.scalars(select(SubmissionRow.container).where(SubmissionRow.kind == "image"))
    return ImageRules(config.sandbox.images, frozenset(taken), label_of(config), _secret(session))


def _secret(session: Session) -> int:
    """The key of code images' tags, drawn once."""
    row = session.get(CounterRow, "images")
    if row is None:
        row = CounterRow(name="images", value=secrets.randbits(63))
        session.add(row)
        session.flush()
    return row.value


def _spelt(names: Collection[str], members: Sequence[SubmissionRow]) -> frozenset[str]:
    """Names that a person typed in any case, as the members have them."""
    exact = {member.name for member in members}
    folded = {owners.fold(member.name): member.name for member in members}
    return frozenset(name if name in exact else folded.get(owners.fold(name), name) for name in names)


def _forget(session: Session, row: RoundRow, members: Sequence[SubmissionRow], batches: Sequence[BatchRow], fresh: Fresh) -> None:
    """Drop results, of any round: what is shared is run once, for all that share it."""
    # A named round may hold an older version than the one that takes part now.
    own = {member.name: member.id for member in members}

    def known(name: str) -> int:
        (spelt,) = _spelt([name], members)
        return own[spelt] if spelt in own else registry.find(session, name).id

    narrowed = [RunRow.submission_id.in_([known(name) for name in fresh.names])]
    if fresh.batch is not None:
        if fresh.batch >= len(batches):
            raise UnknownNameError(f"There is no batch {fresh.batch} in the round {row.name}.",
                                   f"Its batches are 0 to {len(batches) - 1}.")
        narrowed.append(RunRow.input_id.in_(select(InputRow.id).where(InputRow.batch_id == batches[fresh.batch].id)))
    if fresh.against is not None:
        narrowed.append(RunRow.input_id.in_(_clean() if fresh.against == CLEAN else _made_by(known(fresh.against))))
    last_run, _ = round_state.next_ids(session.connection())
    session.merge(CounterRow(name="last_run", value=last_run - 1))
    session.execute(delete(AttemptRow).where(AttemptRow.run_id.in_(select(RunRow.id).where(*narrowed))))
    session.execute(delete(RunRow).where(*narrowed))
    session.execute(update(CounterRow).where(CounterRow.name == "results").values(value=CounterRow.value + 1))


def _clean() -> Select[Any]:
    """Ids of the inputs of the built-in attack, which changes nothing."""
    return select(InputRow.id).where(InputRow.kind == "clean")


def _made_by(attack: int) -> Select[Any]:
    """Ids of the inputs that an attack made."""
    made = RunRow.__table__.alias("made")
    return select(made.c.output_id).where(made.c.submission_id == attack)


def _restrict(board: Board, field: Field, only: frozenset[str]) -> None:
    """Set aside every waiting run that concerns none of the wanted submissions."""
    wanted_attacks = np.array([c.name in only for c in field.attacks], bool)
    wanted_defenses = np.array([c.name in only for c in field.defenses], bool)
    for entry in np.flatnonzero(~wanted_attacks):
        waiting = board.attack_state[entry] == WAITING
        board.attack_state[entry, waiting] = DROPPED
    made_by_wanted = set(board.attack_input[wanted_attacks].ravel().tolist()) - {NO_INPUT} if len(wanted_attacks) else set()
    for item in range(len(board.inputs)):
        if item not in made_by_wanted:
            waiting = (board.defense_state[item] == WAITING) & ~wanted_defenses
            board.defense_state[item, waiting] = DROPPED
    board.prune()


def _clean_digest(dataset: Dataset, batch: Batch) -> str:
    pixels = dataset.pixels(batch)
    return pixel_digest(pixels, np.ones(len(pixels), bool))

