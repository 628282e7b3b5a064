"""The view: folding records, waiting for answers, progress, pages."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Sized
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.errors import ApiError
from api.jobs.reading.job_view import job_view
from api.jobs.reading.paging import Query, page, query_of
from api.readmodel import job_index
from api.readmodel.encoded_views import EncodedViews
from api.readmodel.following.decoding import Decoder, lane_seen
from api.readmodel.following.job_follower import _needed_since, history_read_since
from api.readmodel.job_feed import JobFeed
from api.readmodel.job_index import JobIndex
from api.readmodel.seen import EventSeen, JobSeen, LaneSeen, OldEventSeen, lane_state
from api.web.auth import ADMIN, Caller
from control.creation.quotas import Usage, usage_of
from runtime.settings import Settings
from runtime.text.formatting import iso_time
from schemas.job import Input, Job, LaneTotals, RestedLane, Source, State
from schemas.messages.codec import encode
from schemas.messages.events import CommandRejected
from schemas.messages.lanes import LaneRecord, lane_key
from tests.support.waiting import PATIENCE

NOW = 1_790_000_000_000


def job(offset: int = 0, **values: Any) -> Job:
    return Job(
        **{
            "id": "j1",
            "operation": "upload",
            "dataset": "people",
            "organisation": "acme",
            "created_by": "admin",
            "state": State.RUNNING,
            "created_at": NOW,
            "command_offset": offset,
            "partitions": 2,
            "source": Source(name="a.csv", lines=1001),
            **values,
        }
    )


def lane(partition: int, applied: int = 0, at: int = NOW, **values: Any) -> LaneSeen:
    totals = values.pop("totals", LaneTotals(rows_applied=applied))
    record = LaneRecord(job_id="j1", partition=partition, partitions=2, totals=totals, at=at, **values)
    return lane_seen(lane_key("j1", partition, record.phase).decode(), encode(record))


def rejection(offset: int) -> CommandRejected:
    return CommandRejected(job_id="j1", command_offset=offset, at=NOW, command="PauseJob", code=409, message="no")


def view_of(*seen: Any) -> JobIndex:
    view = JobIndex()
    for record in seen:
        view.fold(record)
    return view


@given(st.permutations([job(n) for n in range(5)]))
def test_an_older_state_never_replaces_a_newer_one(states: list[Job]) -> None:
    assert view_of(*(JobSeen("j1", state) for state in states)).jobs["j1"].command_offset == 4


def test_the_state_of_a_job_whose_turn_has_come_is_newer_though_no_command_of_its_own_made_it() -> None:
    queued, started = job(4, state=State.QUEUED), job(4, epoch=1)
    for states in ((queued, started), (started, queued)):
        assert view_of(*(JobSeen("j1", state) for state in states)).jobs["j1"].state is State.RUNNING


def test_reading_twice_changes_nothing() -> None:
    records = [JobSeen("j1", job(3)), lane(0, 10), EventSeen("j1", 5), EventSeen("j1", 6)]
    once, twice = view_of(*records), view_of(*records, *records)
    assert once.jobs == twice.jobs
    assert once.event_offsets("j1") == twice.event_offsets("j1") == [5, 6]
    assert list(once.lanes("j1")) == list(twice.lanes("j1"))


def test_a_tombstone_removes_everything_of_a_job() -> None:
    view = view_of(JobSeen("j1", job()), lane(0, 10), EventSeen("j1", 5), JobSeen("j1", None))
    assert (view.jobs, list(view.lanes("j1")), view.event_offsets("j1")) == ({}, [], [])


def test_progress_before_and_after_the_input_has_ended() -> None:
    view = view_of(lane(0, 200), lane(1, totals=LaneTotals(rows_applied=100, rows_failed=50)))
    early = job_view(job(), view, NOW).progress
    assert (early.rows_total, early.rows_applied, early.rows_failed, early.percent) == (1000, 300, 50, 35.0)
    assert early.rows_done == 350
    late = job_view(job(input=Input(rows=700, ended=True)), view, NOW).progress
    assert (late.rows_total, late.rows_read, late.percent) == (700, 700, 50.0)
    unknown = job_view(job(source=Source(kind="topic")), view, NOW).progress
    assert (unknown.rows_total, unknown.percent, unknown.eta_seconds) == (None, 0.0, None)


def test_totals_outlive_the_lane_records() -> None:
    ended = job(state=State.COMPLETED_WITH_ERRORS, applied=LaneTotals(rows_applied=990, rows_failed=10), ended_at=NOW)
    view = view_of(JobSeen("j1", ended), lane(0, 990), LaneSeen("j1", 0, "apply", None))
    shown = job_view(ended, view, NOW)
    assert (shown.progress.rows_applied, shown.progress.rows_failed, shown.progress.percent) == (990, 10, 100.0)
    assert (shown.progress.rows_per_second, shown.progress.eta_seconds, shown.lanes) == (0.0, 0, [])
    assert (shown.progress.rows_done, shown.ended, job_view(job(), view, NOW).ended) == (1000, True, False)
    undone = replace(ended, phase="undo", ended_at=None, undone=LaneTotals(rows_undone=40))
    assert (job_view(undone, view, NOW).progress.rows_done, job_view(undone, view, NOW).ended) == (40, False)


def test_a_job_whose_file_can_not_be_read_for_now_says_so() -> None:
    waiting = job(input=Input(blocks=1, rows=7, storage_problem="it is not mounted"))
    assert job_view(waiting, JobIndex(), NOW).awaits == "the storage: it is not mounted"
    assert job_view(replace(waiting, input=Input(blocks=2, rows=9)), JobIndex(), NOW).awaits is None
    assert job_view(replace(waiting, state=State.TERMINATED), JobIndex(), NOW).awaits is None


def test_a_job_whose_rows_come_by_a_topic_says_what_it_waits_for() -> None:
    filling = job(source=Source(kind="topic"), input=Input(blocks=1, rows=7, first_missing=3))
    assert job_view(filling, JobIndex(), NOW).awaits == "rows, or the end of the input: 7 rows have come"
    told = replace(filling, announced_rows=1_000)
    shown = job_view(told, JobIndex(), NOW)
    assert shown.awaits == "993 of 1,000 rows; the first that is missing is row 3"
    assert shown.progress.rows_total == 1_000
    kept = replace(told, input=Input(blocks=1, rows=7, first_missing=3, storage_problem="its key can't be read"))
    assert job_view(kept, JobIndex(), NOW).awaits == "the storage: its key can't be read"
    assert job_view(replace(told, input=Input(rows=1_000, ended=True)), JobIndex(), NOW).awaits is None
    assert job_view(replace(told, state=State.TERMINATED), JobIndex(), NOW).awaits is None
    assert job_view(job(), JobIndex(), NOW).awaits is None


def test_a_paused_job_shows_the_lanes_that_rested() -> None:
    rested = {0: RestedLane(epoch=2, totals=LaneTotals(rows_applied=7), last_offset=9, parked_blocks=3)}
    shown = job_view(job(state=State.PAUSED, lanes_rested=rested), JobIndex(), NOW)
    assert (shown.lanes[0].applied_rows, shown.lanes[0].last_offset, shown.lanes[0].parked_blocks) == (7, 9, 3)
    assert shown.progress.rows_applied == 7


def test_the_proof_of_a_pause_may_come_before_the_lanes_record() -> None:
    rested = {0: RestedLane(epoch=2, totals=LaneTotals(rows_applied=700), last_offset=9, parked_blocks=3)}
    paused = job(state=State.PAUSED, lanes_rested=rested)
    behind = job_view(paused, view_of(lane(0, 200, last_offset=9, todo=((1, 9, 8),))), NOW)
    assert (behind.lanes[0].applied_rows, behind.lanes[0].parked_blocks) == (700, 3)
    resumed = job(state=State.RUNNING, lanes_rested=rested)
    assert job_view(resumed, view_of(lane(0, 900)), NOW).lanes[0].applied_rows == 900


def test_a_rollback_counts_its_rounds() -> None:
    undoing = job(
        state=State.ROLLING_BACK,
        phase="undo",
        run=2,
        undo_rows=1000,
        applied=LaneTotals(rows_applied=800),
        undone=LaneTotals(rows_undone=500),
    )
    view = view_of(
        lane(0, phase="undo", run=2, totals=LaneTotals(rows_undone=100)),
        lane(1, phase="undo", run=1, totals=LaneTotals(rows_undone=250)),
    )
    shown = job_view(undoing, view, NOW).progress
    assert (shown.rows_applied, shown.rows_rolled_back, shown.percent) == (800, 600, 75.0)
    checked = replace(undoing, checking=True, undone=LaneTotals(rows_undone=800))
    assert job_view(checked, view, NOW).progress.rows_rolled_back == 800


def test_the_rate_is_smoothed_and_fades() -> None:
    view = view_of(*(lane(0, 1000 * n, NOW + 500 * n) for n in range(20)))
    last = NOW + 500 * 19
    assert view.rows_per_second("j1", last) == 2000.0
    shown = job_view(job(source=Source(lines=59_001)), view, last).progress
    assert (shown.rows_per_second, shown.eta_seconds) == (2000.0, 20)
    assert (view.rows_per_second("j1", last + 60_000) or 0) < 200
    assert view.rows_per_second("other", last) is None


def test_parked_blocks_are_counted() -> None:
    record = LaneRecord(job_id="j1", partition=0, partitions=2, todo=((1, 5, 3), (9, 9, 1)))
    assert lane_state(record).parked_blocks == 4


def test_the_decoder_skips_what_it_cannot_read() -> None:
    decoder = Decoder("s", NOW)
    assert decoder.seen("s.jobs", b"j1", b"{", 0, NOW, 0) is None
    assert decoder.seen("s.lanes", b"odd", None, 0, NOW, 0) is None
    assert decoder.seen("s.jobs", b"j1", None, 0, NOW, 0) == JobSeen("j1", None)
    assert decoder.seen("s.job-events", b"j1", encode(rejection(4)), 7, NOW, 0) == EventSeen("j1", 7, rejection(4))
    assert decoder.seen("s.job-events", b"j1", b"anything old", 7, NOW - 3_600_000, 0) == EventSeen("j1", 7)


def answered(live: JobFeed, offset: int, *batches: list[Any], timeout: float = PATIENCE) -> Any:
    async def scenario() -> Any:
        waiting = asyncio.create_task(live.answer("j1", offset, timeout))
        await asyncio.sleep(0)
        for batch in batches:
            live.take(batch)
            await asyncio.sleep(0)
        return await waiting

    return asyncio.run(scenario())


def test_the_answer_is_the_state_that_carries_the_offset() -> None:
    assert answered(JobFeed(), 3, [JobSeen("j1", job(2))], [JobSeen("j1", job(3)), JobSeen("j1", job(9))]) == job(3)


def test_the_answer_may_be_a_rejection_also_when_later_states_come_first() -> None:
    assert answered(JobFeed(), 3, [EventSeen("j1", 0, rejection(3))]) == rejection(3)
    batches = [[JobSeen("j1", job(4))], [EventSeen("j1", 0, rejection(3))]]
    assert answered(JobFeed(), 3, *batches) == rejection(3)


def test_another_jobs_offset_is_no_answer() -> None:
    queued = replace(job(3), id="j2")
    assert answered(JobFeed(), 3, [JobSeen("j2", queued)], timeout=0.05) is None


def jobs_for_pages() -> list[Job]:
    states = [State.RUNNING, State.COMPLETED]
    return [job(id=f"j{n}", created_at=NOW + n // 2, state=states[n % 2], organisation=f"o{n % 3}") for n in range(10)]


def test_pages_hold_every_job_once_newest_first() -> None:
    seen: list[str] = []
    after = None
    while True:
        shown, token = page(jobs_for_pages(), query_of([("limit", "3"), *([("after", after)] if after else [])]), ADMIN)
        seen += [item.id for item in shown]
        if token is None:
            break
        after = token
    assert seen == [f"j{n}" for n in reversed(range(10))]


def test_filters_take_several_values() -> None:
    query = query_of([("state", "RUNNING,PAUSED"), ("state", "FAILED"), ("organisation", "o0")])
    assert query.states == {State.RUNNING, State.PAUSED, State.FAILED}
    assert [item.id for item in page(jobs_for_pages(), query, ADMIN)[0]] == ["j6", "j0"]
    assert {item.organisation for item in page(jobs_for_pages(), Query(), Caller("c", frozenset({"o1"})))[0]} == {"o1"}


@pytest.mark.parametrize(
    "parameter", [("state", "ODD"), ("limit", "0"), ("limit", "x"), ("after", "!!"), ("page", "2")]
)
def test_bad_parameters_are_refused(parameter: tuple[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        query_of([parameter])
    assert refused.value.code == 400


def test_times_are_iso_8601() -> None:
    assert iso_time(0) == "1970-01-01T00:00:00.000Z"
    assert iso_time(None) is None


def test_jobs_that_end_while_a_process_starts_are_kept_as_those_that_end_later() -> None:
    """At the start they are made brief where they are decoded, and no answer is kept for anyone."""
    ended = job(9, state=State.COMPLETED, ended_at=NOW, applied=LaneTotals(rows_applied=4), request="f" * 64,
                lanes_done={1: LaneTotals(rows_applied=4)}, input=Input(rows=4, ended=True))  # fmt: skip
    starting = True
    decoder = Decoder("sluice", NOW, lambda: starting)
    at_start = decoder.seen("sluice.jobs", b"j1", encode(ended), 0, NOW, 0)
    starting = False
    later = decoder.seen("sluice.jobs", b"j1", encode(ended), 0, NOW, 0)
    views = [view_of(at_start), view_of(later), view_of(at_start, later), view_of(later, at_start)]
    assert [view.jobs["j1"] for view in views] == [ended] * 4
    assert {str(view.ended) for view in views} == {str(views[0].ended)}
    assert (views[0].answer("j1", 9), views[1].answer("j1", 9)) == (None, ended)
    again = job(10, state=State.ROLLING_BACK)
    for view in views:
        view.fold(JobSeen("j1", again))
        assert view.jobs["j1"] == again and list(view.jobs.open) == ["j1"] and view.ended == JobIndex().ended


def test_a_kept_view_of_an_ended_job_is_that_of_its_newest_state_and_lanes() -> None:
    ended = job(9, state=State.COMPLETED, ended_at=NOW, applied=LaneTotals(rows_applied=4))
    view = view_of(JobSeen("j1", job()), JobSeen("j2", ended_as("j2")))
    views, made = EncodedViews(view, most_bytes=1500), Counter[str]()

    def encoded(one: Job) -> bytes:
        made[one.id] += 1
        return msgspec.json.encode(job_view(one, view, NOW))

    def shown(job_id: str = "j1") -> Any:
        return msgspec.json.decode(views.of(view.jobs.brief(job_id) or job(), encoded))

    assert [shown()["state"], shown()["state"], made["j1"]] == ["RUNNING", "RUNNING", 2]
    for seen in (JobSeen("j1", ended), lane(0, 4), LaneSeen("j1", 0, "apply", None)):
        view.fold(seen)
        before = made["j1"]
        assert shown() == shown() == msgspec.json.decode(msgspec.json.encode(job_view(ended, view, NOW)))
        assert made["j1"] == before + 1
    view.fold(JobSeen("j1", replace(ended, command_offset=10, purging=True)))
    assert shown()["purging"] and shown("j2")["id"] == "j2" and len(views._kept) == 1
    view.fold(JobSeen("j1", job(11, state=State.ROLLING_BACK)))
    assert shown()["state"] == "ROLLING_BACK"
    view.fold(JobSeen("j1", None))
    assert views.of(ended, encoded)


def test_records_of_jobs_that_never_have_a_state_take_up_a_bounded_part_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Refused creations, histories of jobs that have left the table, and lanes of such jobs that a worker deletes."""
    monkeypatch.setattr(job_index, "EARLY_KEPT", 10)
    monkeypatch.setattr(job_index, "ANSWERS_KEPT", 10)
    view = JobIndex()

    def sizes_after(numbers: range) -> dict[str, int]:
        for number in numbers:
            job_id = f"gone{number}"
            refused = replace(rejection(number), job_id=job_id)
            for seen in (
                EventSeen(job_id, 10 * number),
                EventSeen(job_id, 10 * number + 1, refused),
                OldEventSeen(job_id, 10 * number + 2),
                JobSeen(f"removed{number}", None),
                LaneSeen(job_id, 0, "apply", lane(0, 10).lane),
                LaneSeen(job_id, 0, "apply", None),
                LaneSeen(f"removed{number}", 0, "undo", None),
            ):
                view.fold(seen)
        return {name: len(found) for name, found in vars(view).items() if isinstance(found, Sized)}

    assert sizes_after(range(20)) == sizes_after(range(20, 200))


def test_one_old_job_that_has_not_ended_costs_a_start_no_history_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_index, "EARLY_KEPT", 10)
    day = 24 * 3600 * 1000
    read_since = history_read_since(Settings(job_retention_days=30), NOW)
    assert read_since == NOW - 30 * day
    assert history_read_since(Settings(job_retention_days=100_000), NOW) == 0
    old = job(1, state=State.FAILED, created_at=NOW - 365 * day)
    young = replace(job(2, created_at=NOW - day), id="j2")
    seen = [JobSeen("j1", old), JobSeen("j2", young), JobSeen("j3", ended_as("j3"))]
    needs = [_needed_since(one, read_since) for one in [*seen, JobSeen("j4", None), EventSeen("j5", 1)]]
    assert needs == [("j1", read_since), ("j2", young.created_at), ("j3", None), ("j4", None), None]
    view = view_of(*seen)
    history = [(f"gone{number}" if number % 9 else "j1", number) for number in range(900)]
    for job_id, offset in history[800:]:
        view.fold(EventSeen(job_id, offset))
    for job_id, offset in history:
        view.fold(OldEventSeen(job_id, offset))
    assert len(view._events) + len(view._older) <= len(view.jobs) + 1 and len(view._early) <= 10
    assert view.event_offsets("j1") == [offset for job_id, offset in history if job_id == "j1"]


def test_the_history_of_a_job_that_comes_before_its_state_is_not_lost() -> None:
    view = view_of(EventSeen("j1", 5), EventSeen("j2", 6), EventSeen("j1", 7), JobSeen("j1", job()), EventSeen("j1", 9))
    assert view.event_offsets("j1") == [5, 7, 9]


@given(st.lists(st.integers(0, 2**40), max_size=30), st.lists(st.integers(0, 2**40), max_size=30))
def test_the_history_of_a_job_that_has_ended_is_whole_in_whatever_order_it_is_found(
    first: list[int], older: list[int]
) -> None:
    """Its last records are read at the start, and those before them, and some once more, while the API serves."""
    view = view_of(JobSeen("j1", ended_as("j1")), *(EventSeen("j1", offset) for offset in first))
    for offset in older:
        view.fold(OldEventSeen("j1", offset))
    assert view.event_offsets("j1") == sorted({*first, *older})


def ended_as(job_id: str) -> Job:
    return replace(job(1, state=State.COMPLETED, ended_at=NOW, applied=LaneTotals(rows_applied=4)), id=job_id)


def in_use(job_id: str, offset: int, state: State, file: int, retried: bool, purged: bool, whose: str) -> Job:
    kind: Any = "topic" if file == 0 else "file"
    return replace(
        ended_as(job_id),
        state=state,
        organisation=whose,
        command_offset=offset,
        source=Source(kind=kind, path=f"sources/{file}.csv" if file else None, bytes=10 * file),
        retry=Source(path=f"sources/{job_id}/retry.csv", bytes=7) if retried else None,
        input=Input(rows=offset),
        purged_at=1 if purged else None,
    )


@given(
    st.lists(
        st.tuples(
            *(st.sampled_from(["j1", "j2", "j3"]), st.sampled_from([None, *State]), st.integers(0, 2)),
            *(st.booleans(), st.booleans(), st.sampled_from(["acme", "other"])),
        ),
        max_size=20,
    )
)
def test_what_an_organisation_uses_is_what_a_look_at_all_jobs_finds(states: list[Any]) -> None:
    view = JobIndex()
    for offset, (job_id, state, *more) in enumerate(states):
        view.fold(JobSeen(job_id, None if state is None else in_use(job_id, offset, state, *more)))
        jobs = [view.jobs[one] for one in view.jobs]
        for whose in ("acme", "other", "nobody"):
            assert in_order(view.usages.of(whose)) == in_order(usage_of(whose, jobs))


def in_order(usage: Usage) -> Usage:
    return dataclasses.replace(usage, files=sorted(usage.files))
