"""The tables.

State lives in rows. A run is identified by (submission, input, conditions): the submission's row stands for its content digest,
the input's row for a digest of pixels (for an attack of pixels, bound and targets), the conditions' row for the contract
version and every limit that can change an outcome. That triple is the content key in normalised form: three small
integers a row instead of a 32-byte hash, twice (table and index), which is what keeps a 899,100-run final under 400 MB.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

#: Raised whenever a table or the meaning of what it holds changes (with a step in ``migrations``); the file's ``user_version``.
SCHEMA_VERSION = 10


class Base(MappedAsDataclass, DeclarativeBase):
    """Base of all tables in ``tournament.db``."""


class SubmissionRow(Base):
    """One version of one submission, by content digest."""

    __tablename__ = "submission"
    __table_args__ = (
        UniqueConstraint("name", "version"), UniqueConstraint("name", "digest"),
        Index("submission_active_name", "name", unique=True, sqlite_where=text("state = 'active'")),
        Index("submission_active_digest", "digest", unique=True, sqlite_where=text("state = 'active'")),
    )

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str]
    version: Mapped[int]
    type: Mapped[str]
    team: Mapped[str]
    baseline: Mapped[bool]
    digest: Mapped[str]
    kind: Mapped[str]
    container: Mapped[str]
    container_gpu: Mapped[str]
    entry_point: Mapped[str]
    profile: Mapped[str]
    serves: Mapped[bool]
    source: Mapped[str]
    submitted_at: Mapped[float]
    state: Mapped[str] = mapped_column(default="active")
    threat: Mapped[str] = mapped_column(default="linf", server_default="linf")
    access: Mapped[str] = mapped_column(default="black_box", server_default="black_box")
    base: Mapped[str] = mapped_column(default="", server_default="")
    #: Duels that a defense can be an opponent in, with a space between two.
    open_to: Mapped[str] = mapped_column(default="", server_default="")


class BatchRow(Base):
    """Images with targets and the bound of the first threat; a batch of every round that cuts the same one, wherever it stands.

    ``task_digest`` and ``epsilon`` are of that threat, L-infinity where a round has it; tasks of others are inputs of the same row.
    """

    __tablename__ = "batch"

    id: Mapped[int] = mapped_column(primary_key=True)
    task_digest: Mapped[str] = mapped_column(unique=True)
    clean_digest: Mapped[str]
    dataset_digest: Mapped[str]
    size: Mapped[int]
    epsilon: Mapped[int]


class InputRow(Base):
    """What a run reads.

    Attacks: a task (``values.task_kind``), or one against one opponent (``values.duel_kind``). Consumers: ``clean``,
    ``adversarial``, ``mixed``, ``half`` (detectors).
    """

    __tablename__ = "input"
    __table_args__ = (UniqueConstraint("batch_id", "kind", "digest"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))
    kind: Mapped[str]
    digest: Mapped[str]
    produced: Mapped[bytes] = mapped_column(LargeBinary)
    stored_bytes: Mapped[int] = mapped_column(default=0)
    #: Of a mixed input: int32 per image, the id of the input that it is taken from, 0 for none. Of a half: the id of what the
    #: attack made, negative where its clean image is shown, 0 where neither is.
    parts: Mapped[bytes | None] = mapped_column(LargeBinary, default=None)
    #: Of what an attack made: which images differ from the clean ones, as bits; NULL where no harness has looked.
    changed: Mapped[bytes | None] = mapped_column(LargeBinary, default=None)


class ConditionsRow(Base):
    """Contract version and limits that can change an outcome, as canonical JSON."""

    __tablename__ = "conditions"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    text: Mapped[str] = mapped_column(unique=True)


class ImageRow(Base):
    """The identities that the name of a base image had: results whose conditions say none were obtained on the first one."""

    __tablename__ = "image"

    reference: Mapped[str] = mapped_column(primary_key=True)
    first: Mapped[str]
    latest: Mapped[str]


class RunRow(Base):
    """One submission on one input under one set of conditions: its last attempt."""

    __tablename__ = "run"
    __table_args__ = (
        Index("run_key", "submission_id", "input_id", "conditions_id", unique=True),
        # The few rows that resume and status ask for, without a scan.
        Index("run_unfinished", "state", sqlite_where=text("state <> 2")),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"))
    input_id: Mapped[int] = mapped_column(ForeignKey("input.id"))
    conditions_id: Mapped[int] = mapped_column(ForeignKey("conditions.id"))
    state: Mapped[int]
    attempt: Mapped[int]
    started_at: Mapped[float]
    outcome: Mapped[str | None] = mapped_column(default=None)
    output_id: Mapped[int | None] = mapped_column(ForeignKey("input.id"), default=None)
    #: What a consumer answered, of its track's type (``tracks.Answers``): labels as int16 per image, -32768 for none, what is
    #: right is judged when scoring; scores as float32, NaN for none.
    labels: Mapped[bytes | None] = mapped_column(LargeBinary, default=None)
    usable: Mapped[int] = mapped_column(default=0)
    wall_s: Mapped[float | None] = mapped_column(default=None)
    start_s: Mapped[float | None] = mapped_column(default=None)
    cpu_s: Mapped[float | None] = mapped_column(default=None)
    peak_memory_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    slot: Mapped[str | None] = mapped_column(default=None)
    #: Milliseconds as small integers: SQLite stores them in one to three bytes, a float in eight.
    prepare_ms: Mapped[int | None] = mapped_column(default=None)
    waited_ms: Mapped[int | None] = mapped_column(default=None)
    collect_ms: Mapped[int | None] = mapped_column(default=None)
    #: Runs that executed beside this one when it began, and the host's mean runnable threads per core meanwhile, in percent.
    beside: Mapped[int | None] = mapped_column(default=None)
    load_percent: Mapped[int | None] = mapped_column(default=None)
    #: ``values.crc_of`` the labels, NULL without.
    crc: Mapped[int | None] = mapped_column(BigInteger, default=None)


#: Of runs whose answers are what was stored, or that have none.
SOUND = func.crc(RunRow.labels).is_not_distinct_from(RunRow.crc)


class ScoreRow(Base):
    """What scoring reads of a run that has a result (see ``harness.scoring.records``); there exactly while it has one."""

    __tablename__ = "score"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    record: Mapped[bytes] = mapped_column(LargeBinary)


class DuelRow(Base):
    """What came of a duel by queries that has a result; there exactly while it has one."""

    __tablename__ = "duel"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    opponent_outcome: Mapped[str]
    opponent_s: Mapped[float]
    batches: Mapped[int]
    #: int32 per image: queries that were charged.
    counts: Mapped[bytes] = mapped_column(LargeBinary)
    #: ``execution.query_record.Findings``.
    findings: Mapped[bytes] = mapped_column(LargeBinary)
    #: ``values.crc_of`` the counts and findings.
    crc: Mapped[int | None] = mapped_column(BigInteger, default=None)


class AttemptRow(Base):
    """Evidence of an attempt that was anything but a plain ``ok``, or that has something to say."""

    __tablename__ = "attempt"

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    started_at: Mapped[float]
    slot: Mapped[str]
    exit_code: Mapped[int | None]
    wall_s: Mapped[float]
    evidence: Mapped[str]


class SlotRow(Base):
    """What a slot was when it was used: a GPU's name, driver and clock belong to every time measured on it."""

    __tablename__ = "slot"

    name: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[float] = mapped_column(primary_key=True)
    facts: Mapped[str]


class RoundRow(Base):
    """A tournament evaluated at one time."""

    __tablename__ = "round"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    name: Mapped[str] = mapped_column(unique=True)
    tournament: Mapped[str]
    dataset_digest: Mapped[str]
    rules: Mapped[str]
    conditions_id: Mapped[int] = mapped_column(ForeignKey("conditions.id"))
    served_conditions_id: Mapped[int] = mapped_column(ForeignKey("conditions.id"))
    created_at: Mapped[float]
    #: JSON, by submission id: the two conditions of members whose base image is another than the first of its name.
    own_conditions: Mapped[str] = mapped_column(default="{}", server_default="{}")


class RoundSubmissionRow(Base):
    """Which submission versions a round holds."""

    __tablename__ = "round_submission"

    round_id: Mapped[int] = mapped_column(ForeignKey("round.id"), primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), primary_key=True)


class RoundBatchRow(Base):
    """Which batches a round holds, in which order: with another batch size the same batch has another number."""

    __tablename__ = "round_batch"

    round_id: Mapped[int] = mapped_column(ForeignKey("round.id"), primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"), primary_key=True)
    position: Mapped[int]


class SummaryRow(Base):
    """A cached answer (such as per-image sums for scores), valid while ``version`` equals the database's."""

    __tablename__ = "summary"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)


class CounterRow(Base):
    """Named counters; ``results`` grows with each commit that changes a result."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(Integer, default=0)
