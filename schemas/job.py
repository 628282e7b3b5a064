"""A job's state, as the control table carries it (topic ``jobs``, key: job id)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from schemas.bounds import (
    ByteCount,
    Compression,
    Counter,
    Digest,
    EncodingName,
    ErrorLimit,
    ErrorShare,
    MappingName,
    NotifyTarget,
    Offset,
    Partition,
    PartitionCount,
    Rate,
    RowCount,
    Sign,
    SignedInteger,
    SignName,
    SkippedLines,
    Timestamp,
)
from schemas.descriptors.modes import RESTORING, Empty, Mode
from schemas.policies.retention import StoreName
from schemas.suspicion import Suspicion


class State(StrEnum):
    """What a job is doing. PAUSING, TERMINATING and ROLLING_BACK end by themselves, and QUEUED once the job's turn or
    time has come; those that stay until someone acts are in `RESTING` (docs/states.md has all of them)."""

    DRAFT = "DRAFT"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    TERMINATING = "TERMINATING"
    TERMINATED = "TERMINATED"
    COMPLETED = "COMPLETED"
    COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
    FAILED = "FAILED"
    ROLLING_BACK = "ROLLING_BACK"
    ROLLBACK_PAUSED = "ROLLBACK_PAUSED"
    ROLLED_BACK = "ROLLED_BACK"


ENDED = frozenset({State.COMPLETED, State.COMPLETED_WITH_ERRORS, State.TERMINATED, State.ROLLED_BACK})
"""States in which a job has ended: only a rollback, or corrected rows, bring more work."""

RESTING = ENDED | {State.DRAFT, State.QUEUED, State.PAUSED, State.ROLLBACK_PAUSED, State.FAILED}
"""States in which nothing happens until someone acts, or until the time or the turn comes that the job waits for."""

BUSY = frozenset(
    {State.RUNNING, State.PAUSING, State.PAUSED, State.TERMINATING, State.ROLLING_BACK, State.ROLLBACK_PAUSED}
)
"""States in which a job holds its exclusive key."""

BUSY_OR_QUEUED = BUSY | {State.QUEUED}
"""The same, and those that wait for their turn. Each organisation has a limited number of such jobs."""

APPLYING = frozenset({State.RUNNING, State.PAUSING, State.PAUSED})
"""States in which a job applies its rows, or goes on with that once it is resumed."""

UNDOING = frozenset({State.ROLLING_BACK, State.ROLLBACK_PAUSED})
"""The same of a job whose rows are taken out."""

PAUSES = frozenset({State.PAUSED, State.ROLLBACK_PAUSED})
"""States of a job that is paused."""

Phase = Literal["apply", "undo"]


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a job is to be run."""

    dry_run: bool = False
    max_errors: ErrorLimit | ErrorShare | None = None
    """Row errors that are too many: a number, or a percentage such as "5%"; None: no limit."""
    rows_per_second: Rate | None = None
    """Rows applied per second, at most; None: no limit."""
    if_busy: Literal["refuse", "queue"] = "refuse"
    if_same: Literal["refuse", "allow"] = "refuse"
    """What to do with a file that another job has applied for this organisation and dataset."""
    raw: bool = False
    """Cells are taken and written as they are: no apostrophe before what a spreadsheet would take for a formula."""
    mapping: MappingName | None = None
    """The name of a mapping that the organisation keeps: its columns, set and ignore_extra."""
    mode: Mode | None = None
    """What becomes of documents that the rows' keys name; null: the dataset's own mode."""
    empty: Empty = "keep"
    """What an empty cell does to a value of a document that exists, in the modes upsert and update."""
    columns: dict[str, str | None] = {}
    """Column of the file -> field; null: the column is passed over. Others are matched by their names."""
    set: dict[str, str] = {}
    """Field -> the text that it has in every row, as a file would have it; the file has no column for it then."""
    ignore_extra: bool = False
    """Columns of the file that are no field's are passed over."""
    encoding: EncodingName | None = None
    """The file's encoding, as Python calls it, such as cp1252; null: UTF-8, or what its byte order mark says."""
    delimiter: SignName | None = None
    """A character, or comma, semicolon, tab or pipe; null: the one of these four with which the header fits best."""
    skip_lines: SkippedLines = 0
    """Lines in front of the header that are passed over."""
    comment: SignName | None = None
    """A character, or its name: lines in front of the header that begin with it are passed over."""

    quote: SignName | None = None
    """A character, or single, double or none; null: double. Within quotes a doubled one stands for one."""
    escape: SignName | None = None
    """A character, or backslash: a delimiter, quote or line end behind it is part of the value; null: none."""
    suspicions: Literal["pause", "note", "off"] | None = None
    """What becomes of a file whose first rows look like an accident; null: it pauses the job before its first row is
    written where the organisation has 1,000 rows to compare with, and is noted elsewhere."""
    notify: NotifyTarget | None = None
    """An address, or the name of a webhook of the organisation, that is told when the job stops: when it is over, has
    failed, or is paused."""


COLUMN_OPTIONS: Final = ("mapping", "columns", "set", "ignore_extra")
"""Options that say which column of a file is which."""
FORMAT_OPTIONS: Final = ("encoding", "delimiter", "skip_lines", "comment", "quote", "escape")
"""Options that say how a file is written."""
FILE_OPTIONS: Final = (*COLUMN_OPTIONS, *FORMAT_OPTIONS)
MODE_OPTIONS: Final = ("mode", "empty")
"""Options that say what becomes of documents that exist."""


def given(options: Options, names: tuple[str, ...]) -> dict[str, Any]:
    """The options of these names that differ from their defaults."""
    plain = Options()
    return {name: getattr(options, name) for name in names if getattr(options, name) != getattr(plain, name)}


class FileIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a file in its file system: each change of its content, its name or its rights changes some of it.

    The device is left out: another host has another number for the same file system.
    """

    inode: SignedInteger
    modified_ns: SignedInteger
    """Last change of its content (mtime), nanoseconds since 1970."""
    changed_ns: SignedInteger
    """Last change of anything, its name or its rights included (ctime). No program can set it."""


class Format(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a file is written, as it was sent. The file in storage has no compression, and is UTF-8."""

    bytes: ByteCount | None = None
    """Bytes of the file that was sent, if the API converted it; `Source.bytes` is the size of the converted file."""
    sha256: Digest | None = None
    """The SHA-256 of the file that was sent, if the API converted it."""
    compression: Compression | None = None
    """``gzip`` or ``zip``; None: it was not compressed."""
    encoding: EncodingName | None = None
    """None: UTF-8."""
    delimiter: Sign | None = None
    """None: the comma, or in a job of an older version the one with which the header fits best."""
    skip_lines: SkippedLines = 0
    comment: Sign | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where a job's rows come from."""

    kind: Literal["file", "topic", "query"] = "file"
    name: str | None = None
    """The file's name, as its sender called it."""
    url: str | None = None
    """The address that it was fetched from, without a query."""
    path: str | None = None
    """Where the readers find it: a path below the storage root, or an absolute one in an import folder."""
    bytes: ByteCount | None = None
    sha256: str | None = None
    identity: FileIdentity | None = None
    """The file when `sha256` was computed: while this is its identity, its content is not compared. None: not known."""
    lines: RowCount | None = None
    """Lines counted while it was spooled, the header included: an estimate of its rows until it has been read."""
    columns: dict[str, str | None] | None = None
    """Column of the file -> field of the dataset (null: passed over), as it was decided when the file was taken in.
    None: each field of the dataset is a column of this very name, and there are no others."""
    format: Format | None = None
    """None: as it is in storage it was sent, in UTF-8 and with commas; or nobody has recorded it."""
    origin: str | None = None
    """Digest of the place that the request names: an address without what signs it, a path of an import folder, or the
    job whose file it is. None: the file came along, or it is not known, as an older version has written the state.
    Requests have it in a header (`schemas/messages/request_headers.py`)."""


class Input(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How far the reader has read: the checkpoint at which another reader goes on, and at the end the block counts."""

    blocks: RowCount = 0
    """Blocks published; also the number of the next one."""
    rows: RowCount = 0
    bytes: ByteCount = 0
    """Bytes of the file that these blocks cover, the header included."""
    lines: RowCount = 0
    first_missing: RowCount = 0
    """Rows from a topic: the lowest row number that has not come yet; 0: not known."""
    ended: bool = False
    blocks_per_partition: tuple[RowCount, ...] = ()
    """Blocks on each partition; set when `ended`."""
    frozen: str | None = None
    """The point in time of Elasticsearch that an export reads. Once the job's state has one, it keeps it."""
    rows_total: RowCount | None = None
    """All rows there are to read, where that is known before they are read."""
    storage_problem: str | None = None
    """Why the storage gives no key for the job's blocks, or its file is not read. The reader asks again by itself, and
    rows of a topic wait there until then. None: it does."""


EVEN_BLOCK_ROWS: Final = 500
"""Rows in a block, at most, where they come in slowly or evenly: in an inbox's, and in those of a job with a rate."""


class BlockLimits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a job's rows are divided, from its first block to its last, whatever readers are set to meanwhile.

    A reader publishes again what a dead one published after its last report. Lanes know blocks by their numbers, so
    these have to be the same rows.
    """

    rows: RowCount
    """Rows in a block, at most."""
    bytes: ByteCount
    """Bytes of a block, at most."""
    slice_rows: RowCount
    """Rows in a slice of an export, at most."""


class LaneTotals(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Cumulative counts of one lane, or their sum over a job's lanes."""

    rows_applied: RowCount = 0
    rows_failed: RowCount = 0
    rows_undone: RowCount = 0
    blocks: RowCount = 0
    last_row: RowCount = 0
    """The highest row number that was sent to be written; 0: none."""
    rows_created: RowCount = 0
    """Rows applied under keys of the organisation that made new documents. The next three count the others of these
    rows."""
    rows_updated: RowCount = 0
    rows_unchanged: RowCount = 0
    rows_deleted: RowCount = 0
    rows_conflicting: RowCount = 0
    """Failed rows whose key exists already."""
    rows_missing: RowCount = 0
    """Failed rows whose key names no document."""
    rows_restored: RowCount = 0
    """Documents that a rollback has made as they were before the job, or removed if there were none. The next two count
    the other documents."""
    rows_kept: RowCount = 0
    """Documents that others have changed since, which the rollback leaves as they are."""
    rows_not_restored: RowCount = 0
    """Documents that Elasticsearch refused, or whose before-image is not kept any more."""

    def __add__(self, other: LaneTotals) -> LaneTotals:
        """The sum of both; `last_row` is the higher one."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return LaneTotals(**sums, last_row=max(self.last_row, other.last_row))

    def since(self, earlier: LaneTotals) -> LaneTotals:
        """What has been counted since `earlier`, of rows and blocks."""
        return LaneTotals(**{name: getattr(self, name) - getattr(earlier, name) for name in _COUNTS})

    def corrected(self, retried: LaneTotals) -> LaneTotals:
        """These totals after some failed rows were tried again. Rows that failed once more count as failed already."""
        both = self + retried
        return replace(
            both,
            rows_failed=max(0, self.rows_failed - retried.rows_applied),
            rows_undone=self.rows_undone,
            rows_conflicting=self.rows_conflicting,
            rows_missing=self.rows_missing,
        )

    def another_round(self, totals: LaneTotals) -> LaneTotals:
        """Totals of a rollback after one more round, which has judged anew what the rounds before could not restore."""
        return replace(self + totals, rows_kept=totals.rows_kept, rows_not_restored=totals.rows_not_restored)


_COUNTS: Final = tuple(name for name in LaneTotals.__struct_fields__ if name != "last_row")
MODE_COUNTS: Final = (
    *("rows_created", "rows_updated", "rows_unchanged", "rows_deleted"),
    *("rows_conflicting", "rows_missing"),
)
UNDO_COUNTS: Final = ("rows_restored", "rows_kept", "rows_not_restored")


class RestedLane(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Proof that a lane has stopped: nothing of its job is in flight on this partition."""

    epoch: Counter
    totals: LaneTotals
    last_offset: Offset = -1
    """Offset of the newest of the job's records seen on the partition; -1: none."""
    parked_blocks: RowCount = 0
    """Blocks that the partition has met and not applied yet, in memory or not."""


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One job's state. Only the control agent writes it; times are milliseconds since 1970, UTC."""

    id: str
    operation: str
    dataset: str
    organisation: str
    created_by: str
    state: State
    created_at: Timestamp
    command_offset: Offset
    """Offset (topic ``commands``) of the newest command this state has taken in: the control agent skips older ones."""
    partitions: PartitionCount
    """Partitions of the rows topic when the job began: block b is on partition b mod this."""
    epoch: Counter = 0
    """Raised by each start, pause, resume, terminate, failure and rollback: work begun in an older epoch is void."""
    phase: Phase = "apply"
    run: Counter = 0
    """0 while rows are applied first; each retry of row errors, and each round of a rollback, is the next one. Blocks,
    plans and reports carry it."""
    halting: bool = False
    """The rollback is to pause as soon as every lane has stopped."""
    checking: bool = False
    """The rollback has undone every block, and a worker counts what is left."""
    force: bool = False
    """The rollback also restores documents that others have changed since."""
    undo_rows: RowCount = 0
    """The highest row number that the rollback has to undo."""
    left_over: RowCount = 0
    """What the last round of the rollback has left, as a worker has counted it; 0: nothing, or not counted yet."""
    finishing: bool = False
    """Every block is applied, and a worker makes the job's file of their parts."""
    budget: Literal["probing", "open", "spent", "waived"] = "open"
    """How the row errors stand against `max_errors`. Probing: rows behind the first ones wait until these have been
    judged; spent: the job paused itself for its errors; waived: it was resumed after that, and does not pause for
    errors again."""
    inspection: Literal["none", "due", "done", "suspicious", "waived"] = "none"
    """Whether a worker has looked at the first rows, and whether the job's id is free of an earlier job's rows. Due: no
    row is written before that; suspicious: the job pauses itself for what the first rows look like; waived: it was
    resumed after that."""
    suspicion: Suspicion | None = None
    """The accident that the first rows look like."""
    reason: str | None = None
    options: Options = Options()
    mode: Mode | None = None
    """How the job writes under keys of the organisation; None: its documents are its own, by their ids."""
    source: Source = Source()
    request: str | None = None
    """Digest of the request that made the job: the same request again is a repeat, and any other is not."""
    draft: bool = False
    """The job was made before its file came."""
    started_from: str | None = None
    """The dry run that this is the real job of."""
    retry: Source | None = None
    """The corrected rows that were sent last."""
    date_from: str | None = None
    date_till: str | None = None
    exclusive_key: str | None = None
    keep_rows: bool = False
    input: Input = Input()
    announced_rows: RowCount | None = None
    """Rows from a topic: how many there will be, once their sender has announced it."""
    retry_input: Input = Input()
    undo_input: Input = Input()
    lanes_done: dict[Partition, LaneTotals] = {}
    lanes_rested: dict[Partition, RestedLane] = {}
    lanes_counted: dict[Partition, LaneTotals] = {}
    """With `max_errors`: the counts of the lanes, as far as workers have reported them."""
    applied: LaneTotals | None = None
    """Totals of the apply phase, once every lane has reported them; during a retry, those from before it."""
    undone: LaneTotals | None = None
    started_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    resume_at: Timestamp | None = None
    """While it is paused: when it goes on by itself."""
    start_at: Timestamp | None = None
    """While it is QUEUED: it does not start before this time."""
    state_since: Timestamp | None = None
    """When it came into its state; None: an older version wrote it."""
    sealed: bool = False
    """Its blocks in Kafka are encrypted with a key of its own."""
    limits: BlockLimits | None = None
    """The limits of the job's blocks; None: an older version has made the job, and each reader uses its own limits."""
    needs: Counter = 0
    """The least `FORMAT` of a process that may work on this job, see docs/decisions/0044-messages-of-other-versions.md.
    """
    purging: bool = False
    """A purge is removing everything that holds values of the job."""
    purged_at: Timestamp | None = None
    """When nothing of that was left."""
    purge_problem: str | None = None
    """What kept the last purge from its end."""
    expired: dict[StoreName, Timestamp] = {}
    """Store -> when what it had of the job was removed, as its retention was over."""

    def lacks(self, store: StoreName) -> Timestamp | None:
        """When what this store had of the job was removed; None: it was not."""
        return self.purged_at or self.expired.get(store)

    @property
    def current_input(self) -> Input:
        """The input of the run the job is in."""
        if self.phase == "undo":
            return self.undo_input
        return self.retry_input if self.run else self.input

    @property
    def rows_total(self) -> int | None:
        """Rows of its input: counted, announced, or estimated from the file's lines until it is read; None: unknown."""
        if self.input.ended:
            return self.input.rows
        if self.input.rows_total is not None:
            return self.input.rows_total
        if self.announced_rows is not None:
            return self.announced_rows
        return max(0, self.source.lines - 1) if self.source.lines is not None else None

    @property
    def restores(self) -> bool:
        """Whether its rollback gives back documents that it wrote over, or took out."""
        return self.mode in RESTORING

    @property
    def retrying(self) -> bool:
        """Whether corrected rows are being applied, so that `applied` does not have them yet."""
        return self.phase == "apply" and self.run > 0 and self.state not in ENDED
