"""Rows that come one by one become blocks exactly once, whatever comes twice, is moved, or dies between two steps."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import example, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from ingest.inbox.batch import Batch
from ingest.inbox.intake import InboxContext
from ingest.inbox.partition import MOST_BYTES, InboxPartition, home_partition
from ingest.inbox.passed_over import TRY_SECONDS
from ingest.inbox.records import RowMaker, read_record
from ingest.inbox.reports import REPORT_SECONDS, Announcer, report_on
from ingest.inbox.row_buffer import MOST_GAPS, RowBuffer
from ingest.inbox.transactions import InboxConsumer
from ingest.inbox.waiting_rows import Record
from schemas.descriptors.modes import Mode
from schemas.job import Input, Options, Source, State
from schemas.messages.blocks import RowBlock
from schemas.messages.commands import InputAdvanced, InputEnded, InputFailed
from schemas.messages.inbox import InboxRecord
from tests.support.in_memory.inbox import (
    COLUMNS,
    DATASETS,
    LIMITS,
    PARTITIONS,
    PATIENCE,
    batch_of,
    inbox_partition,
    job,
    numbers,
    record,
)


def test_a_row_that_leaves_a_field_out_has_its_default_and_none_has_what_the_job_sets() -> None:
    made = replace(job(), options=Options(set={"country": "NL"}), created_at=1_790_000_000_000)
    values = {"name": "Ada", "email": "a@example.org", "phone": "12345", "favorite_color": None}
    rows = [values, {**values, "created_at": "2026-01-01"}, {**values, "created_at": None}, {**values, "country": "DE"}]
    batch = batch_of(inbox_partition(made), *(record(n, n + 1, values=row) for n, row in enumerate(rows)))
    block = RowBlock(**{f: getattr(batch.blocks[0][1], f) for f in RowBlock.__struct_fields__})
    assert block.columns == ["name", "email", "phone", "favorite_color", "created_at"]
    assert [row[-1] for row in block.rows] == ["2026-09-21T14:13:20Z", "2026-01-01", ""]
    (refused,) = [block.unreadable for _, block in batch.blocks if block.unreadable]
    assert "there is no column 'country'" in refused[0]


def test_a_record_that_is_moved_takes_no_headers_along_but_its_signature() -> None:
    """A reader keeps records in memory with their headers, and adds one to each that it moves to another partition.
    Kafka would not take a record that is longer by that header than the limit."""

    class Message:
        def __init__(self, offset: int, headers: Any) -> None:
            self._offset, self._headers = offset, headers

        def error(self) -> None:
            return None

        def partition(self) -> int:
            return 1

        def offset(self) -> int:
            return self._offset

        def key(self) -> bytes:
            return b"k" * 100_000

        def value(self) -> bytes | None:
            return record(0, 1).value

        def headers(self) -> Any:
            return self._headers

        def timestamp(self) -> tuple[int, int]:
            return 1, 1

    given = (None, [("x", b"y" * 10**6)], [("sluice-signature", None)], [("sluice-signature", b"s" * 10**6)] * 2)
    home = home_partition("j1", 2)
    messages = [Message(offset, headers) for offset, headers in enumerate(given)]
    partition = InboxPartition(1 - home, 0, (), InboxContext(lambda _: None, DATASETS, LIMITS, PATIENCE, 2))
    consumer: Any = object.__new__(InboxConsumer)
    consumer._consumer = SimpleNamespace(consume=lambda *_: messages)
    consumer._callbacks = SimpleNamespace(require=lambda: None)
    consumer._failure, consumer.signed, consumer.assigned = None, False, {1: partition}
    count, size = consumer.receive(10, 0)
    assert count == 4 and consumer.signed and 400_000 < size < 410_000
    partition.work(0)
    batch = partition.gather()
    assert batch is not None and [number for number, _, _ in batch.moved] == [home] * 4
    assert [len(moved.headers) for _, _, moved in batch.moved] == [0, 0, 0, 1]
    assert len(batch.moved[-1][2].headers[0][1]) < 1000


def test_blocks_hold_consecutive_rows_and_are_numbered_on() -> None:
    taker = inbox_partition(job())
    first = batch_of(taker, *[record(offset, row) for offset, row in enumerate([5, 1, 2, 4, 9, 3, 6])])
    assert numbers(first.blocks) == [[1, 2, 3], [4, 5, 6], [9]]
    assert [(number, block.block) for number, block in first.blocks] == [(0, 0), (1, 1), (0, 2)]
    assert first.position == 7
    assert first.states == [("j1", InboxRecord(job_id="j1", blocks=3, rows=((1, 6), (9, 9))))]
    second = batch_of(taker, record(9, 7))
    assert [block.block for _, block in second.blocks] == [3] and second.position == 10


ROW = b'{"job_id": "j1", "row": %d, "values": {"name": "Ada", "email": "a@b.example", "phone": "1", %b}}'
MORE = b'"country": "NL", "favorite_color": "red", "created_at": "2026-01-01"'
HALF, REST = b'{"job_id": "j1", "row": %d', ROW[ROW.index(b'"values"') :] % MORE
PIECES = st.sampled_from(
    [
        *(ROW % (number, MORE) for number in (1, 2, 3, 4, 7)),
        *(ROW.replace(b"j1", other) % (1, MORE) for other in (b"other", b"j2", b"unknown", b"j\\u0031", b"no id")),
        ROW % (5, MORE.replace(b"red", b'a: b, \\"c\\": [{')),
        ROW % (5, MORE.replace(b" ", b"\n")),
        ROW % (6, MORE + b', "name": "Bob"'),
        ROW % (6, b'"country": 3'),
        ROW % (6, MORE.replace(b"country", b"nation")),
        (ROW % (6, MORE)).replace(b"Ada", b"\\u0000"),
        ROW % (0, MORE),
        ROW % (2**60, MORE),
        # Pieces that are rows only together with a record beside them, and several rows in one.
        HALF % 8,
        REST,
        b'{"job_id": "j1", "row": 8, "values": {}, "more": [{}',
        b'{"job_id": "j1", "row": 8, "values":',
        b"{}]}",
        b"{}}",
        b"{}",
        b"",
        b" ",
        b"null",
        b"]",
        b"\xef\xbb\xbf" + ROW % (9, MORE),
        (ROW + b",\n" + ROW) % (10, MORE, 11, MORE),
        (ROW + b" " + ROW) % (10, MORE, 11, MORE),
        ROW % (12, MORE) + b"," + HALF % 13,
        ROW % (12, MORE) + b',{"job_id": "j1", "row": 13, "values": {}, "more": [{}',
        (ROW % (14, MORE)).replace(b'{"job_id"', b'{"row": 15, "job_id"'),
    ]
)


TWO = (ROW + b"," + ROW) % (10, MORE, 11, MORE)


@pytest.mark.parametrize("mode", ["create", "update"])
@example(pieces=[ROW % (12, MORE) + b"," + HALF % 13, REST], last=None)
@example(pieces=[ROW % (12, MORE) + b', {"job_id": "j1", "row": 13, "values": {}, "more": [{}', b"{}]}"], last=None)
@example(pieces=[ROW % (12, MORE) + b',{"job_id": "j1", "row": 13, "values":', b"{}}"], last=None)
@example(pieces=[TWO, b""], last=None)
@example(pieces=[b"", TWO], last=None)
@example(pieces=[TWO, HALF % 13, REST], last=None)
@example(pieces=[ROW % (1, MORE), ROW % (2, MORE + b', "name": "Bob"'), ROW % (3, MORE)], last=None)
@example(pieces=[ROW % (1, MORE), ROW % (2, MORE)], last=1)
@given(pieces=st.lists(PIECES, max_size=8), last=st.sampled_from([None, 3]))
def test_records_that_are_read_together_mean_what_each_means_by_itself(
    pieces: list[bytes], last: int | None, mode: Mode
) -> None:
    def taken(together: bool) -> tuple[object, ...]:
        with pytest.MonkeyPatch.context() as patched:
            if not together:
                patched.setattr("ingest.inbox.partition.read_plain", lambda _: None)
            known = [replace(job(name), mode=mode, announced_rows=last) for name in ("j1", "other", "j2")]
            context = InboxContext({one.id: one for one in known}.get, DATASETS, LIMITS, PATIENCE, 2)
            records = (Record(at, b"k", piece) for at, piece in enumerate(pieces))
            batch = batch_of(InboxPartition(home_partition("j1", 2), 0, (), context), *records)
            return batch.position, batch.blocks, batch.states, batch.dead_letters, batch.moved

    assert taken(together=True) == taken(together=False)


def test_a_row_that_comes_again_is_counted_once_also_by_the_next_owner() -> None:
    taker = inbox_partition(job())
    first = batch_of(taker, record(0, 1), record(1, 1), record(2, 2))
    assert numbers(first.blocks) == [[1, 2]]
    successor = inbox_partition(job(), states=(first.states[0][1] or InboxRecord(job_id=""),))
    again = batch_of(successor, record(3, 2), record(4, 3))
    assert numbers(again.blocks) == [[3]] and again.blocks[0][1].block == 1


def test_a_list_of_rows_is_as_many_rows() -> None:
    values = [{"name": "Ada"}, {"name": "Bob"}]
    batch = batch_of(inbox_partition(job()), record(0, 7, values=values))
    assert numbers(batch.blocks) == [[7, 8]]
    assert [row[COLUMNS.index("name")] for row in batch.blocks[0][1].rows] == ["Ada", "Bob"]


def test_a_block_has_so_many_bytes_at_most() -> None:
    long = {"name": "x" * 1500}
    batch = batch_of(inbox_partition(job()), *[record(row, row, values=long) for row in (1, 2, 3, 4)])
    assert numbers(batch.blocks) == [[1, 2], [3, 4]]
    huge = batch_of(inbox_partition(job()), record(0, 1, values={"name": "x" * 5000}))
    assert "more than 4096 bytes" in huge.blocks[0][1].unreadable[0]
    refused = batch_of(inbox_partition(job()), record(0, 1, values={"name": "x" * MOST_BYTES}))
    assert not refused.blocks and "at most 1,000,000 bytes" in refused.dead_letters[0].reason


def test_values_become_the_text_that_a_file_would_have() -> None:
    maker = RowMaker(["a", "b", "c", "d", "e"])
    assert maker.texts({"a": "x", "b": 3, "c": 0.5, "d": True, "e": None}) == (["x", "3", "0.5", "true", ""], None)
    assert maker.texts({"a": "x"}) == (["x", "", "", "", ""], None)
    assert RowMaker(["a"]).texts({"a": "x"}) == (("x",), None)
    assert "no column 'z'" in (maker.texts({"z": "x"})[1] or "")


@pytest.mark.parametrize(
    ("state", "row", "reason"),
    [
        ({"source": Source()}, 1, "from a file"),
        ({"state": State.TERMINATING}, 1, "takes no more rows"),
        ({"state": State.ROLLED_BACK, "phase": "undo"}, 1, "takes no more rows"),
        ({"announced_rows": 3}, 4, "beyond the 3 rows"),
        ({"input": Input(rows=3, ended=True)}, 4, "beyond the 3 rows"),
    ],
)
def test_a_row_that_its_job_does_not_take_is_refused(state: dict[str, object], row: int, reason: str) -> None:
    batch = batch_of(inbox_partition(job(**state)), record(0, row))
    assert not batch.blocks and batch.position == 1
    assert [reason in letter.reason for letter in batch.dead_letters] == [True]


def test_the_repeat_of_a_row_of_a_job_that_has_all_is_no_news() -> None:
    batch = batch_of(inbox_partition(job(input=Input(rows=3, ended=True), state=State.COMPLETED)), record(0, 3))
    assert not batch.blocks and not batch.dead_letters and batch.position == 1


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSING, State.PAUSED, State.FAILED])
def test_a_job_that_may_go_on_takes_rows(state: State) -> None:
    assert numbers(batch_of(inbox_partition(job(state=state)), record(0, 1)).blocks) == [[1]]


def test_the_checkpoint_of_a_job_that_is_over_goes() -> None:
    state = InboxRecord(job_id="j1", blocks=1, rows=((1, 3),))
    for over in (job(state=State.TERMINATED), job(input=Input(rows=3, ended=True)), job("another")):
        assert batch_of(inbox_partition(over, states=(state,))).states == [("j1", None)]


def test_rows_too_far_out_of_order_fail_the_job() -> None:
    fill = RowBuffer(InboxRecord(job_id="j1", rows=tuple((2 * n, 2 * n) for n in range(1, MOST_GAPS + 2))))
    report = report_on(job(epoch=3), fill)
    assert isinstance(report, InputFailed) and "out of order" in report.reason and report.epoch == 3
    assert report_on(job(state=State.FAILED), fill) is None


def test_a_job_is_told_how_far_it_is_and_that_it_has_all() -> None:
    fill = RowBuffer(InboxRecord(job_id="j1", blocks=3, rows=((1, 4), (6, 6))))
    assert report_on(job(), fill) == InputAdvanced(job_id="j1", input=Input(blocks=3, rows=5, first_missing=5))
    assert report_on(job(input=Input(blocks=3, rows=5)), fill) is None
    assert isinstance(report_on(job(announced_rows=6), fill), InputAdvanced)
    too_many = report_on(job(announced_rows=5), fill)
    assert isinstance(too_many, InputFailed) and "row 6 has come" in too_many.reason
    whole = report_on(job(announced_rows=6), RowBuffer(InboxRecord(job_id="j1", blocks=3, rows=((1, 6),))))
    assert isinstance(whole, InputEnded) and whole.input is not None
    assert whole.input.blocks_per_partition == (2, 1) and whole.input.rows == 6
    nothing = report_on(job(announced_rows=0), RowBuffer(InboxRecord(job_id="j1")))
    assert isinstance(nothing, InputEnded) and nothing.input is not None
    assert nothing.input.blocks_per_partition == (0, 0)
    assert report_on(job(state=State.TERMINATING), fill) is None
    assert report_on(job(state=State.QUEUED), fill) is None


def test_a_report_is_sent_once_and_again_when_nothing_comes_of_it() -> None:
    announcer = Announcer()
    first, next_one = (InputAdvanced(job_id="j1", input=Input(blocks=blocks)) for blocks in (1, 2))
    assert list(announcer.due(iter([first]), 0)) == [first]
    assert list(announcer.due(iter([next_one]), REPORT_SECONDS / 2)) == []
    assert list(announcer.due(iter([next_one]), REPORT_SECONDS)) == [next_one]
    assert list(announcer.due(iter([next_one]), REPORT_SECONDS + 4)) == []
    assert list(announcer.due(iter([next_one]), REPORT_SECONDS + 5)) == [next_one]


def test_an_end_is_told_at_once_and_not_again_with_the_reports_that_follow() -> None:
    announcer = Announcer()
    advanced = InputAdvanced(job_id="j1", input=Input(blocks=1))
    end = InputEnded(job_id="j1", input=Input(blocks=2, rows=2, ended=True))
    assert list(announcer.due(iter([advanced]), 0)) == [advanced]
    assert announcer.is_due(end, 0.1) and not announcer.is_due(end, 0.2)
    assert list(announcer.due(iter([end]), 0.1 + REPORT_SECONDS)) == []
    assert list(announcer.due(iter([end]), 5.1)) == [end], "nothing has come of it"


class Inbox(RuleBasedStateMachine):
    """Kafka's topics as lists: rows are sent, twice too, and the readers of two partitions die at any step.

    Some jobs are made late, some never: nothing waits for their rows but these themselves. Nor does anything wait for
    the rows of a job whose key the storage does not give for a time.
    """

    @initialize(without_key=st.sets(st.sampled_from("abc")))
    def begin(self, without_key: set[str]) -> None:
        self.jobs = {name: job(name) for name in "abc"}
        self.now: float = 0
        self.without_key = without_key
        self.log: list[list[Record]] = [[], []]
        self.committed = [0, 0]
        self.states: list[dict[str, InboxRecord]] = [{}, {}]
        self.published: dict[str, list[RowBlock]] = defaultdict(list)
        self.sent: dict[str, set[int]] = defaultdict(set)
        self.refused: dict[str, set[int]] = defaultdict(set)
        for partition in (0, 1):
            self.assign(partition)

    def assign(self, partition: int) -> None:
        """The new owner of the partition begins with what is committed; what its last owner had in memory is gone."""
        if not hasattr(self, "owners"):
            self.owners: dict[int, InboxPartition] = {}
            self.fetched: dict[int, int] = {}
            self.again: dict[int, tuple[int, int] | None] = {}
        surroundings = InboxContext(
            self.jobs.get,
            DATASETS,
            LIMITS,
            PATIENCE,
            PARTITIONS,
            storage_problem=lambda known, _: "full" if known.id in self.without_key else None,
        )
        position = self.committed[partition]
        self.owners[partition] = InboxPartition(partition, position, self.states[partition].values(), surroundings)
        self.fetched[partition] = position
        self.again[partition] = None

    @rule(names=st.sets(st.sampled_from("abcx")))
    def have_keys_of_others(self, names: set[str]) -> None:
        """The storage gives the keys of all jobs but these."""
        self.without_key = names

    @rule(name=st.sampled_from("abcxyz"), row=st.integers(1, 12), partition=st.integers(0, 1), more=st.integers(0, 3))
    def send(self, name: str, row: int, partition: int, more: int) -> None:
        values = [{"name": str(row + index)} for index in range(more + 1)]
        self.log[partition].append(record(len(self.log[partition]), row, name, values=values if more else values[0]))
        self.sent[name] |= set(range(row, row + more + 1))

    @rule(name=st.sampled_from("xy"))
    def make(self, name: str) -> None:
        self.jobs.setdefault(name, job(name))

    @rule(seconds=st.integers(1, int(PATIENCE)))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(partition=st.integers(0, 1), most=st.integers(1, 5))
    def fetch(self, partition: int, most: int) -> None:
        start, owner = self.fetched[partition], self.owners[partition]
        for item in self.log[partition][start : start + most]:
            owner.come(item)
            self.fetched[partition] += 1
        owner.work(self.now)
        assert owner.backlog == 0, "nothing waits behind anything"

    @rule(partition=st.integers(0, 1), most=st.integers(1, 5))
    def read_again(self, partition: int, most: int) -> None:
        """The reader reads some passed-over records again, as in each round before it writes the transaction."""
        owner = self.owners[partition]
        self.again[partition] = self.again[partition] or owner.passed_over.begin()
        offsets = self.again[partition]
        if offsets is None:
            return
        first, end = offsets
        for item in self.log[partition][first : min(first + most, end)]:
            owner.come_again(item, self.now)
        self.again[partition] = (first + most, end)
        if first + most >= end:
            owner.passed_over.ended()
            self.again[partition] = None

    @rule(partition=st.integers(0, 1), commit=st.booleans(), dies=st.booleans())
    def transact(self, partition: int, commit: bool, dies: bool) -> None:
        batch = self.owners[partition].gather()
        if batch is not None and commit:
            self._commit(partition, batch)
        if dies or not commit:
            self.assign(partition)

    @rule(most=st.integers(1, 12))
    def rounds_of_both(self, most: int) -> None:
        for partition in (0, 1):
            self.fetch(partition, most)
            self.read_again(partition, most)
            self.transact(partition, commit=True, dies=False)

    def _commit(self, partition: int, batch: Batch) -> None:
        assert self.committed[partition] <= batch.position <= self.fetched[partition]
        for number, block in batch.blocks:
            assert number == block.block % PARTITIONS
            self.published[block.job_id].append(block)
        for home, name, item in batch.moved:
            self.log[home].append(Record(len(self.log[home]), name.encode(), item.value))
        for name, state in batch.states:
            assert state is not None
            self.states[partition][name] = state
        for letter in batch.dead_letters:
            arrival = read_record(letter.record.value, 4096)
            self.refused[arrival.job_id] |= {number for number, _, _ in arrival.rows()}
        self.committed[partition] = batch.position

    @invariant()
    def no_row_twice(self) -> None:
        for name, blocks in getattr(self, "published", {}).items():
            assert [block.block for block in blocks] == list(range(len(blocks)))
            rows = [row for block in blocks for row in range(block.first_row, block.last_row + 1)]
            assert len(rows) == len(set(rows))
            column = COLUMNS.index("name")
            assert [row[column] for block in blocks for row in block.rows] == [str(row) for row in rows]
            assert set(rows) <= self.sent[name]

    @invariant()
    def no_row_of_a_known_job_is_refused(self) -> None:
        assert not set(getattr(self, "refused", {})) & set("abc")

    def teardown(self) -> None:
        """Left alone, the readers publish every row of a job that there is, and refuse the others."""
        if not hasattr(self, "owners"):
            return
        self.without_key = set()
        for partition in (0, 1):
            self.now += TRY_SECONDS
            self.fetch(partition, 0)
            for _ in range(2):  # one that is under way, and the next one
                self.read_again(partition, len(self.log[partition]) + 1)
            self.transact(partition, commit=True, dies=False)
            assert not len(self.owners[partition].passed_over)
        for _ in range(2):  # what is moved comes in the second round
            for partition in (0, 1):
                self.assign(partition)
                self.fetch(partition, len(self.log[partition]) + 1)
                self.transact(partition, commit=True, dies=False)
        for _ in range(2):
            self.now += PATIENCE
            for partition in (0, 1):
                self.fetch(partition, len(self.log[partition]) + 1)
                self.transact(partition, commit=True, dies=False)
        assert self.committed == [len(log) for log in self.log]
        for name, rows in self.sent.items():
            found = [row for block in self.published[name] for row in range(block.first_row, block.last_row + 1)]
            assert len(found) == len(set(found)) and set(found) | self.refused[name] == rows
            if name in "abc":
                assert sorted(found) == sorted(rows)
            if found:
                home = home_partition(name, PARTITIONS)
                state = self.states[home][name]
                assert RowBuffer(state).input.rows == len(found)
                assert RowBuffer(state).input.blocks == len(self.published[name])
                assert name not in self.states[1 - home]


TestInbox = Inbox.TestCase
TestInbox.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
