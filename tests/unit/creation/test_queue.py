"""Queued jobs have their turn in order and once each, however many they are and whatever becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from control.agent import START_JOBS
from control.creation.queue import take_turns
from control.creation.quotas import usage_of
from control.predicates import holds_key
from schemas.job import Job, LaneTotals, Options, Source, State
from schemas.messages.commands import CreateJob, SetRate
from schemas.messages.events import JobEvent
from schemas.policies.quotas import QuotaBook, Quotas
from tests.support.in_memory.control import World, at, run, upload

MANY = 3 * START_JOBS + 20


def _job(name: str, state: State, created_at: int, key: str | None = "k", organisation: str = "acme") -> Job:
    return Job(
        id=name,
        operation="upload",
        dataset="people",
        organisation=organisation,
        created_by="ada",
        state=state,
        created_at=created_at,
        command_offset=0,
        partitions=2,
        exclusive_key=key,
    )


def _begun(job: Job) -> Job:
    return replace(job, state=State.RUNNING)


def test_the_oldest_queued_job_of_each_key_is_next() -> None:
    queued, asked = State.QUEUED, list[str]()
    jobs = [
        _job("b", queued, 2),
        _job("a", queued, 2),
        _job("late", queued, 9),
        _job("held", queued, 1, "taken"),
        _job("at-work", State.PAUSED, 0, "taken"),
        _job("free", queued, 5, None),
        _job("free-too", queued, 6, None),
        _job("over", State.COMPLETED, 0),
        replace(_job("timed", queued, 0, None), start_at=99),
    ]

    def begin(job: Job) -> Job:
        asked.append(job.id)
        return _begun(job)

    assert not take_turns(jobs, QuotaBook(), begin, 9)
    assert asked == ["a", "free", "free-too"]


def test_a_job_that_can_not_have_its_turn_now_keeps_its_place() -> None:
    jobs = [_job("a", State.QUEUED, 1), _job("b", State.QUEUED, 2)]
    asked: list[str] = []
    assert not take_turns(jobs, QuotaBook(), lambda job: asked.append(job.id), 9)
    assert asked == ["a"]


FATES = {"runs": State.RUNNING, "fails": State.FAILED, "stays": None}
QUEUED_OR_NOT = st.sampled_from([State.QUEUED, State.QUEUED, State.QUEUED, State.RUNNING, State.PAUSED, State.FAILED])
JOBS = st.lists(
    st.tuples(
        QUEUED_OR_NOT, st.integers(0, 5), st.sampled_from(["k", "l", None]), st.sampled_from(["acme", "else"]),
        st.sampled_from(list(FATES)),
    ),
    max_size=12,
)  # fmt: skip


def _looked_for_anew(jobs: dict[str, Job], fates: dict[str, str], quotas: QuotaBook) -> list[str]:
    """The same turns, where all jobs are gone through after each of them."""
    asked: list[str] = []
    stay: set[str] = set()

    def next_one() -> Job | None:
        busy = [job for job in jobs.values() if holds_key(job) or job.id in stay]
        waiting = (job for job in jobs.values() if job.state is State.QUEUED and job.id not in stay)
        for job in sorted(waiting, key=lambda job: (job.created_at, job.id)):
            taken = job.exclusive_key and any(other.exclusive_key == job.exclusive_key for other in busy)
            most = quotas.of(job.organisation).jobs_running
            if not taken and sum(other.organisation == job.organisation for other in busy) < most:
                return job
        return None

    while (job := next_one()) is not None:
        asked.append(job.id)
        state = FATES[fates[job.id]]
        if state is None:
            stay.add(job.id)
        else:
            jobs[job.id] = replace(job, state=state)
    return asked


@settings(deadline=None)
@given(rows=JOBS, running=st.integers(0, 4), most=st.integers(1, 4))
def test_each_job_has_its_turn_once_as_if_all_were_gone_through_after_each(
    rows: list[tuple[State, int, str | None, str, str]], running: int, most: int
) -> None:
    quotas = QuotaBook(Quotas(jobs_running=running))
    fates = {f"j{number}": row[-1] for number, row in enumerate(rows)}
    jobs = {name: _job(name, *row[:-1]) for name, row in zip(fates, rows, strict=True)}
    expected = _looked_for_anew(dict(jobs), fates, quotas)
    asked: list[str] = []
    counts: list[int] = []

    def begin(job: Job) -> Job | None:
        asked.append(job.id)
        state = FATES[fates[job.id]]
        if state is None:
            return None
        counts[-1] += 1
        jobs[job.id] = replace(job, state=state)
        return jobs[job.id]

    left = True
    while left:
        counts.append(0)
        left = take_turns(list(jobs.values()), quotas, begin, most)
        assert counts[-1] <= most and not (left and counts[-1] < most)
    assert list(dict.fromkeys(asked)) == expected
    moved = [name for name in asked if FATES[fates[name]] is not None]
    assert len(moved) == len(set(moved)), "none has its turn twice"


# -- the control agent -----------------------------------------------------------------------------------------------


def copy(job_id: str, organisation: str = "default", **options: object) -> CreateJob:
    source = Source(path=f"{job_id}.csv", name="people.csv", sha256="ab" * 32, bytes=10)
    return replace(upload(job_id, **options), source=source, organisation=organisation)


class Looks(World):
    """A world that counts how often the agent goes through jobs."""

    def __init__(self, copies: Iterable[str] = ()) -> None:
        """`copies`: jobs of one file that wait behind j1, which reads it as well."""
        super().__init__()
        self.looks = 0
        self.send(copy("j1"))
        for name in copies:
            job = replace(self.job(), id=name, state=State.QUEUED, created_at=at(len(self.jobs)), epoch=0)
            self.jobs.put(replace(job, source=copy(name).source, options=Options(if_busy="queue")))
        self.seen = 0
        """Jobs that it has met in that."""

        def counted(look: Callable[..., list[Job]]) -> Callable[..., list[Job]]:
            def counting(*organisation: str) -> list[Job]:
                found = look(*organisation)
                self.looks += 1
                self.seen += len(found)
                return found

            return counting

        for name in ("of", "not_ended", "busy_or_queued"):
            setattr(self.jobs, name, counted(getattr(self.jobs, name)))

    def counts(self) -> tuple[int, int]:
        """Copies that have failed, and that wait."""
        states = [job.state for job in self.jobs if job.id != "j1"]
        return states.count(State.FAILED), states.count(State.QUEUED)


def queue_of(count: int) -> list[str]:
    return [f"copy{number:05d}" for number in range(count)]


@pytest.mark.parametrize("count", [1, START_JOBS - 1, START_JOBS, START_JOBS + 1, MANY, 2000])
def test_copies_of_a_file_that_has_been_applied_meanwhile_fail_however_many_they_are(count: int) -> None:
    world = Looks(queue_of(count))
    world.complete()
    while world.agent.has_turns_left:
        assert world.counts()[1] > 0
        assert world.agent.continue_turns()
        run(world.agent.settle())
    assert world.state is State.COMPLETED
    assert world.counts() == (count, 0)
    failed = [record.job_id for record in world.history if isinstance(record, JobEvent) and record.event == "Failed"]
    assert failed == queue_of(count), "in order, and once each"
    assert not world.agent.continue_turns()


def test_what_a_command_takes_does_not_grow_with_the_jobs_that_fail_at_their_turn() -> None:
    looks, written = [], []
    for count in (2, MANY):
        world = Looks(queue_of(count))
        world.end_input()
        world.looks, before = 0, len(world.states)
        world.lanes_done()
        looks.append(world.looks)
        written.append(len(world.states) - before)
    assert looks[0] == looks[1], "the jobs are gone through as often for many as for two"
    assert written == [3, START_JOBS + 1]


@pytest.mark.parametrize("state", State)
def test_what_a_command_takes_grows_only_with_jobs_of_others_that_are_limited(state: State) -> None:
    """Their states are those that `jobs_running` and `jobs_queued` count."""
    usage = usage_of("else", [_job("one", state, 1, organisation="else")])
    limited = usage.running + usage.queued > 0
    seen = []
    for count in (0, 200):
        world = Looks()
        for number in range(count):
            other = _job(f"other{number}", state, at(0), f"k{number}", "else")
            world.jobs.put(replace(other, started_at=at(0), applied=LaneTotals(), ended_at=at(0)))
        world.seen = 0
        world.complete()
        world.send(replace(upload("new"), source=Source(path="new.csv", sha256="cd" * 32, bytes=10)))
        world.terminate("new")
        world.rest(job_id="new")
        assert world.job().state is State.COMPLETED and world.job("new").state is State.ROLLING_BACK
        seen.append(world.seen)
    assert (seen[1] > seen[0]) == limited


def test_the_next_command_goes_on_with_the_turns_that_are_left_and_so_does_the_next_agent() -> None:
    world = Looks(queue_of(MANY))
    world.complete()
    assert world.counts()[0] == START_JOBS
    world.send(SetRate(job_id="copy00319", by="ada", rows_per_second=5))
    assert world.counts()[0] == 2 * START_JOBS
    world.pause("nobody")
    assert world.counts()[0] == 3 * START_JOBS, "a command that is refused, too"
    world = Looks(queue_of(MANY))
    world.complete()
    world.agent.forget()
    assert not world.agent.continue_turns(), "it is not in control any more"
    run(world.agent.take_over(at(99), len(world.log)))
    assert world.counts()[0] == 2 * START_JOBS and world.agent.has_turns_left


def left_behind(*jobs: tuple[str, str, str | None]) -> World:
    """A world whose agent takes over queued jobs (id, SHA-256 of the file, exclusive key), none of which could begin
    when its turn came: the agent before has died."""
    world = World()
    world.send(copy("over"))
    world.complete("over")
    for name, sha256, key in jobs:
        source = replace(copy(name).source, sha256=sha256)
        world.jobs.put(replace(_job(name, State.QUEUED, at(9), key, "default"), source=source))
    run(world.agent.take_over(at(20), len(world.log)))
    return world


def test_a_job_starts_once_though_another_one_has_failed_before_it() -> None:
    world = left_behind(("a", "ab" * 32, "k"), ("b", "cd" * 32, "l"), ("c", "ef" * 32, "k"))
    assert [world.job(name).state for name in "abc"] == [State.FAILED, State.RUNNING, State.RUNNING]
    assert [world.events(name) for name in "abc"] == [["Failed"], ["Started"], ["Started"]]
    assert [plan.job_id for plan in world.plans[1:]] == ["b", "c"]


def test_of_two_copies_that_begin_together_without_an_exclusive_key_the_second_fails() -> None:
    """The first is applying the file by then."""
    world = left_behind(("a", "cd" * 32, None), ("b", "cd" * 32, None))
    assert [world.job(name).state for name in "ab"] == [State.RUNNING, State.FAILED]
    assert "job a of organisation default is RUNNING" in (world.job("b").reason or "")
