"""What is done with plans, acknowledgements and confirmations, whatever order they come in."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.jobtable import JobTable
from csvfile.cutter import Limits
from csvfile.window import Window
from ingest.blocks.files import OpenFile, Roots, open_source
from ingest.blocks.in_threads import SILENT_SECONDS, FileThreads
from ingest.delivery_watermark import DeliveryWatermark, with_counts
from ingest.offset_tracker import OffsetTracker
from ingest.plan_run import PlanRun, Stage
from ingest.plan_validity import PlanValidity, judge, starting_point
from ingest.sources import SourceContext
from runtime.datasets import load_datasets
from runtime.files.shared_folder import StorageAwayError, mark
from schemas.job import Input, Job, Source, State
from schemas.messages.codec import UndecodableError, encode
from schemas.messages.commands import InputAdvanced, InputEnded, InputFailed, Report
from schemas.messages.plans import CutExport, Plan, ReadFile, UndoRows
from tests.support.waiting import PATIENCE, wait_until

UNDO = UndoRows(job_id="j", epoch=2, command_offset=10, partitions=4, last_row=10_000, run=1)
EXPORT = CutExport(
    job_id="j", epoch=2, command_offset=10, partitions=4, dataset="people", organisation="o", date_from="2026-01-01"
)
ROWS = 20
DATASETS = load_datasets()
FILL = Window.fill
AROUND = SourceContext({}, Roots(Path("/nowhere")), Limits(500, 4096))


def job(**more: Any) -> Job:
    fields: dict[str, Any] = {
        "id": "j", "operation": "upload", "dataset": "people", "organisation": "o", "created_by": "t",
        "state": State.RUNNING, "created_at": 0, "command_offset": 10, "partitions": 4, "epoch": 2,
    }  # fmt: skip
    return Job(**{**fields, **more})


class FakeOutlet:
    """Kafka, which confirms when it is told to."""

    def count(self, source: str, rows: int, size: int) -> None: ...

    def hurry(self) -> None: ...

    def __init__(self, partitions: int = 16) -> None:
        self._partitions = partitions
        self.blocks: list[tuple[int, Callable[[], None]]] = []
        self.reports: list[Report] = []
        self.unconfirmed: list[Callable[[], None]] = []

    def has_partition(self, partition: int) -> bool:
        return partition < self._partitions

    def block(self, partition: int, value: bytes, confirmed: Callable[[], None]) -> None:
        self.blocks.append((partition, confirmed))

    def report(self, report: Report, confirmed: Callable[[], None] | None = None) -> None:
        self.reports.append(report)
        if confirmed:
            self.unconfirmed.append(confirmed)


def stage_of(work: PlanRun) -> Stage:
    return work.stage


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("phase", ["apply", "undo"])
@pytest.mark.parametrize("plan", [UNDO, EXPORT], ids=["undo", "apply"])
def test_only_a_running_job_of_the_same_phase_is_worked_on(state: State, phase: str, plan: Plan) -> None:
    wanted = (State.ROLLING_BACK, "undo") if plan is UNDO else (State.RUNNING, "apply")
    verdict = judge(plan, job(state=state, phase=phase, run=plan.run), lambda _: True)
    assert verdict is (PlanValidity.WORK if (state, phase) == wanted else PlanValidity.VOID)


@pytest.mark.parametrize(
    ("known", "newest", "verdict"),
    [
        (None, -1, PlanValidity.WAIT),
        (None, 10, PlanValidity.WAIT),
        (None, 11, PlanValidity.VOID),
        (job(command_offset=9, epoch=1), 10, PlanValidity.WAIT),
        (job(command_offset=9, state=State.PAUSED), 50, PlanValidity.WAIT),
        (job(command_offset=11), 11, PlanValidity.WORK),
        (job(epoch=3), 10, PlanValidity.VOID),
        (job(epoch=1), 10, PlanValidity.WAIT),
        (job(run=1), 10, PlanValidity.VOID),
        (job(input=Input(ended=True)), 10, PlanValidity.VOID),
    ],
)
def test_a_plan_waits_for_the_state_it_came_before(known: Job | None, newest: int, verdict: PlanValidity) -> None:
    assert judge(EXPORT, known, lambda offset: newest > offset) is verdict


def test_work_begins_at_the_later_checkpoint() -> None:
    early, late = Input(blocks=1, rows=2), Input(blocks=5, rows=9)
    plan = UndoRows(job_id="j", epoch=2, command_offset=10, partitions=4, run=1, last_row=9, checkpoint=early)
    assert starting_point(plan, job(phase="undo", undo_input=late)) == late
    assert starting_point(plan, job(phase="undo")) == early


def test_the_view_ignores_older_states_and_unreadable_records() -> None:
    view = JobTable()
    view.apply(b"j", encode(job(command_offset=12)))
    view.apply(b"j", encode(job(command_offset=11, epoch=9)))
    for key, value in ((b"k", b"{"), (b"k", encode(job(command_offset=99))), (None, b"null"), (b"\xff", b"[" * 5000)):
        with pytest.raises(UndecodableError):
            view.apply(key, value)
    known = view.get("j")
    assert known is not None
    assert (known.command_offset, known.epoch) == (12, 2)
    view.apply(b"j", None)
    assert view.get("j") is None


@given(st.permutations(range(8)))
def test_plans_are_committed_in_order_only(order: list[int]) -> None:
    acks = OffsetTracker()
    assert all(acks.received(0, offset) for offset in range(8))
    assert not acks.received(0, 3)
    finished: set[int] = set()
    for offset in order:
        acks.done(0, offset)
        finished.add(offset)
        first_open = next(number for number in range(9) if number not in finished)
        assert acks.positions().get(0, 0) == first_open
    acks.revoked(0)
    assert acks.positions() == {}
    acks.done(0, 3)
    assert acks.positions() == {}


@given(st.permutations(range(8)))
def test_what_is_covered_is_confirmed_without_gaps(order: list[int]) -> None:
    start = Input(blocks=3)
    coverage = DeliveryWatermark(start)
    inputs = [Input(blocks=4 + number) for number in range(8)]
    for after in inputs:
        coverage.sent(after)
    finished: set[int] = set()
    for number in order:
        coverage.confirmed(inputs[number])
        finished.add(number)
        covered = len(list(itertools.takewhile(lambda number: number in finished, range(8))))
        assert coverage.covered.blocks == 3 + covered
        assert coverage.in_flight == 8 - covered


@given(st.integers(0, 100), st.integers(1, 9))
def test_the_counts_of_blocks_are_those_of_their_partitions(blocks: int, partitions: int) -> None:
    counts = with_counts(Input(blocks=blocks), partitions).blocks_per_partition
    assert counts == tuple(sum(b % partitions == p for b in range(blocks)) for p in range(partitions))


def test_a_plan_for_partitions_that_are_not_there_fails_its_job() -> None:
    outlet = FakeOutlet(partitions=2)
    work = PlanRun(UNDO, Input(), AROUND, outlet, 0.0)
    for _ in range(5):
        work.step()
        work.tend(0.0)
        for _, confirmed in outlet.blocks:
            confirmed()
    work.tend(0.0)
    assert isinstance(outlet.reports[-1], InputFailed) and "has no partition 2" in outlet.reports[-1].reason
    assert "`sluice migrate --partitions 4`" in outlet.reports[-1].reason
    assert outlet.reports[-1].epoch == UNDO.epoch, "the job may have been resumed since"


def test_nothing_is_reported_before_kafka_has_it() -> None:
    outlet = FakeOutlet()
    work = PlanRun(UNDO, Input(), AROUND, outlet, 0.0)
    for _ in range(3):
        work.step()
    assert [partition for partition, _confirmed in outlet.blocks] == [0, 1, 2]
    outlet.blocks[1][1]()
    work.tend(1.0)
    assert outlet.reports == []
    outlet.blocks[0][1]()
    work.tend(1.1)
    assert outlet.reports == [InputAdvanced(job_id="j", phase="undo", run=1, input=Input(blocks=2, rows=5000))]
    outlet.blocks[2][1]()
    work.tend(1.5)
    assert len(outlet.reports) == 1, "not more often than every half second"

    work.step()
    work.step()
    work.tend(1.55)
    assert len(outlet.reports) == 1, "a block is not confirmed yet"
    outlet.blocks[3][1]()
    work.tend(1.6)
    ended = Input(blocks=4, rows=10_000, ended=True, blocks_per_partition=(1, 1, 1, 1))
    assert outlet.reports[1:] == [InputEnded(job_id="j", phase="undo", run=1, input=ended)]
    assert stage_of(work) is Stage.REPORTED
    outlet.unconfirmed.pop()()
    assert stage_of(work) is Stage.DONE
    assert work.at_end


def test_work_that_is_stopped_reports_how_far_it_came() -> None:
    outlet = FakeOutlet()
    work = PlanRun(UNDO, Input(), AROUND, outlet, 0.0)
    work.step()
    work.stop()
    work.tend(0.1)
    assert outlet.reports == []
    outlet.blocks[0][1]()
    work.tend(0.2)
    assert outlet.reports == [InputAdvanced(job_id="j", phase="undo", run=1, input=Input(blocks=1, rows=2500))]
    outlet.unconfirmed.pop()()
    assert work.stage is Stage.DONE
    assert not work.at_end


def test_work_that_is_stopped_before_it_began_has_nothing_to_report() -> None:
    outlet = FakeOutlet()
    work = PlanRun(UNDO, Input(), AROUND, outlet, 0.0)
    work.stop()
    work.tend(0.0)
    assert (work.stage, outlet.reports) == (Stage.DONE, [])


def test_a_source_that_cannot_be_read_fails_its_job() -> None:
    outlet = FakeOutlet()
    work = PlanRun(EXPORT, Input(), AROUND, outlet, 0.0)
    work.step()
    work.tend(0.0)
    reason = "the dataset 'people' is not known here; known: "
    assert outlet.reports == [InputFailed(job_id="j", epoch=EXPORT.epoch, reason=reason)]


def test_a_bug_in_a_source_fails_its_job_and_not_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> Any:
        yield from iter([1 // 0])

    monkeypatch.setattr("ingest.plan_run.block_source", broken)
    outlet = FakeOutlet()
    work = PlanRun(EXPORT, Input(), AROUND, outlet, 0.0)
    work.step()
    work.tend(0.0)
    (report,) = outlet.reports
    assert isinstance(report, InputFailed)
    assert "ZeroDivisionError" in report.reason


class Away:
    """A job's file in a storage that is taken away, or that does not answer, while the file is read."""

    def __init__(self, folder: Path) -> None:
        self.root, self.aside = folder / "storage", folder / "aside"
        mark(self.root)
        columns = DATASETS["people"].columns
        rows = [",".join(columns), *(",".join("x" for _ in columns) for _ in range(ROWS))]
        (self.root / "a.csv").write_text("\n".join(rows))
        source = Source(path="a.csv", bytes=(self.root / "a.csv").stat().st_size)
        self.plan = ReadFile(
            job_id="j", epoch=2, command_offset=10, partitions=4, dataset="people", source=source, ahead_rows=0
        )
        self.around = SourceContext(DATASETS, Roots(self.root), Limits(1, 4096), threads=FileThreads(patience=0))
        self.outlet = FakeOutlet()
        self.now = 0.0

    def begin(self, start: Input | None = None) -> PlanRun:
        return PlanRun(self.plan, start or Input(), self.around, self.outlet, self.now)

    def go_on(self, work: PlanRun, until: Callable[[], object]) -> None:
        """Have the work go on until it is true, a second a round."""

        def look() -> object:
            self.now += 1
            work.step()
            work.tend(self.now)
            for _, confirmed in self.outlet.blocks:
                confirmed()
            return until()

        wait_until(look, "the work has come so far")

    @property
    def problem(self) -> str | None:
        reports = [report for report in self.outlet.reports if isinstance(report, InputAdvanced)]
        return reports[-1].input.storage_problem if reports else None

    def ended(self) -> InputEnded | None:
        assert not [report for report in self.outlet.reports if isinstance(report, InputFailed)]
        return next((report for report in self.outlet.reports if isinstance(report, InputEnded)), None)


def test_a_file_in_a_storage_that_is_not_mounted_is_waited_for(tmp_path: Path) -> None:
    """Before, its job failed: the file was not there."""
    away = Away(tmp_path)
    away.root.rename(away.aside)
    away.root.mkdir()
    work = away.begin()
    away.go_on(work, lambda: away.problem)
    assert "it is not mounted" in (away.problem or "") and work.stage is Stage.READING
    away.root.rmdir()
    away.aside.rename(away.root)
    away.go_on(work, away.ended)
    ended = away.ended()
    assert ended is not None and (ended.input.rows, ended.input.storage_problem) == (ROWS, None)
    assert [partition for partition, _ in away.outlet.blocks] == [block % 4 for block in range(ROWS)]


def test_a_file_that_can_not_be_read_for_a_while_is_read_on_behind_its_last_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(tmp_path)
    broken, chunks = [True], OpenFile.chunks

    def breaking(file: OpenFile, start: int) -> Iterator[bytes]:
        for number, chunk in enumerate(chunks(file, start)):
            for at in range(0, len(chunk), 40):
                if broken[0] and number == 0 and at >= len(chunk) // 2:
                    raise OSError(errno.ESTALE, "Stale file handle")
                yield chunk[at : at + 40]

    monkeypatch.setattr(OpenFile, "chunks", breaking)
    monkeypatch.setattr("csvfile.window.Window.fill", lambda window, ahead: FILL(window, min(ahead, 100)))
    work = away.begin()
    away.go_on(work, lambda: away.problem)
    assert "Stale file handle" in (away.problem or "")
    before = len(away.outlet.blocks)
    assert 0 < before < ROWS
    broken[0] = False
    away.go_on(work, away.ended)
    assert [partition for partition, _ in away.outlet.blocks] == [block % 4 for block in range(ROWS)]


def test_a_file_that_does_not_answer_holds_up_no_other_plan_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, answers, opened = Away(tmp_path), threading.Event(), open_source

    def hang(*given: Any) -> OpenFile:
        assert answers.wait(PATIENCE)
        return opened(*given)

    seconds = [0.0]
    away.around = dataclasses.replace(away.around, threads=FileThreads(patience=0, clock=lambda: seconds[0]))
    monkeypatch.setattr("ingest.sources.open_source", hang)
    work = away.begin()
    assert not work.step() and not work.step(), "the reader goes on with other plans"
    seconds[0] = SILENT_SECONDS
    away.go_on(work, lambda: away.problem)
    assert "a.csv does not answer" in (away.problem or "")
    stopped = away.begin()
    assert not stopped.step()
    stopped.stop()
    stopped.tend(away.now)
    assert stage_of(stopped) is Stage.DONE, "a pause does not wait for the file"
    answers.set()
    away.go_on(work, away.ended)
    assert len(away.outlet.blocks) == ROWS


def test_a_block_whose_key_is_away_is_sealed_once_it_is_there(tmp_path: Path) -> None:
    away, problems = Away(tmp_path), ["the key of job j can't be read"] * 3

    def encoded(block: Any) -> bytes:
        if problems:
            raise StorageAwayError(problems.pop())
        return encode(block)

    away.around = dataclasses.replace(away.around, encoded=encoded)
    work = away.begin()
    away.go_on(work, lambda: away.problem)
    assert away.problem == "the key of job j can't be read"
    away.go_on(work, away.ended)
    assert len(away.outlet.blocks) == ROWS and not problems


def test_a_problem_that_an_earlier_reader_has_reported_goes(tmp_path: Path) -> None:
    away = Away(tmp_path)
    work = away.begin(Input(storage_problem="it was not mounted"))
    away.go_on(work, lambda: away.outlet.reports)
    assert away.problem is None
    away.go_on(work, away.ended)
