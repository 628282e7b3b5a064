"""Organisations share a reader's slots and turns: none of them waits for another one's plans to end."""

from __future__ import annotations

import itertools
import json
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from math import inf
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest import plan_run
from ingest.block_source import WAITING, Step
from ingest.metrics import ReaderMetrics
from ingest.pending_plan import SLOT_SECONDS, PendingPlan
from ingest.plan_run import PlanRun, Stage
from ingest.reader import LOOK_ROUNDS, OPEN_PLANS, Reader
from ingest.slots import Held, Slots
from ingest.sources import UNDO_BLOCK_ROWS, BlockSource, SourceContext, undo_rows
from runtime.readiness import Readiness
from runtime.settings import Settings
from schemas.job import Input, Job, State
from schemas.messages.blocks import UndoBlock
from schemas.messages.codec import decode
from schemas.messages.commands import InputAdvanced, InputEnded, Report
from schemas.messages.plans import UndoRows

ORGANISATIONS = st.sampled_from("abcd")
MORE_THAN_ANY = 10_000
TICK = 0.25
"""Seconds of a round where time matters."""


class Kafka:
    """Takes blocks and reports, and confirms them when it is polled. It keeps the order in which they came."""

    has_room = True

    def __init__(self, told: Callable[[Report], None] = lambda _: None) -> None:
        self.blocks: list[tuple[str, int]] = []
        self.published: set[tuple[str, int]] = set()
        self.ended: Counter[str] = Counter()
        self._told = told
        self._unconfirmed: deque[Callable[[], None]] = deque()

    def has_partition(self, partition: int) -> bool:
        return True

    def block(self, partition: int, value: bytes, confirmed: Callable[[], None]) -> None:
        block: UndoBlock = decode(value, UndoBlock)
        assert (partition, block.first_row) == (block.block % 2, block.block * UNDO_BLOCK_ROWS + 1)
        self.blocks.append((block.job_id, block.block))
        self.published.add((block.job_id, block.block))
        self._unconfirmed.append(confirmed)

    def count(self, source: str, rows: int, size: int) -> None: ...

    def report(self, report: Report, confirmed: Callable[[], None] | None = None) -> None:
        def deliver() -> None:
            self._told(report)
            if isinstance(report, InputEnded):
                self.ended[report.job_id] += 1
            if confirmed:
                confirmed()

        self._unconfirmed.append(deliver)

    def poll(self, _seconds: float = 0) -> None:
        for _ in range(len(self._unconfirmed)):
            self._unconfirmed.popleft()()


class View:
    """The control table's consumer, at its end."""

    def has_passed(self, offset: int) -> bool:
        return True

    def follow(self, _seconds: float = 0) -> None: ...


class Plans:
    """The plans' consumer: it hands out nothing, and notes what is acknowledged."""

    committed: dict[int, int]

    def receive(self, _seconds: float) -> tuple[Any, ...]:
        return ()

    def commit(self, positions: dict[int, int], wait: bool = False) -> None:
        self.committed = positions

    def measure(self) -> None: ...


class World:
    """The real reader, and plans of rollbacks, which need no file."""

    def __init__(
        self, slots: int, *, reported: bool = True, weights: dict[str, float] | None = None, tick: float = 1.0
    ) -> None:
        """`reported`: whether the control agent keeps up with the reports; else none of them shows in a job's state.

        `tick`: seconds of a round.
        """
        limits = {"organisations": {name: {"weight": weight} for name, weight in (weights or {}).items()}}
        self.now, self.tick = 0.0, tick
        self.answers = True
        """Of `waiting`: whether Elasticsearch answers."""
        self.counting: dict[str, float] = {}
        """Of `waiting`: job -> seconds in a slot before it publishes its first block there."""
        found = Settings(limits=json.dumps(limits))
        self.reader = Reader(found, lambda: False, Readiness(found), ReaderMetrics(), slots, lambda: self.now)
        self.kafka = Kafka(self._told if reported else lambda _: None)
        self.plans = Plans()
        parts: Any = {"_publisher": self.kafka, "_jobs": View(), "_plans": self.plans}
        for name, part in parts.items():
            setattr(self.reader, name, part)
        self._numbers = itertools.count()
        self.blocks_of: dict[str, int] = {}
        self.organisation_of: dict[str, str] = {}

    def add(self, organisation: str, blocks: int) -> str:
        number = next(self._numbers)
        rows = blocks * UNDO_BLOCK_ROWS
        job = Job(
            id=f"{organisation}-{number}", operation="upload", dataset="people", organisation=organisation,
            created_by="x", state=State.ROLLING_BACK, phase="undo", created_at=1, command_offset=number, partitions=2,
            epoch=1, run=1,
        )  # fmt: skip
        plan = UndoRows(job_id=job.id, epoch=1, command_offset=number, partitions=2, run=1, last_row=rows)
        self.reader._view.put(job)
        self.reader._offsets.received(0, number)
        self.reader._waiting.append(PendingPlan(plan, 0, number))
        self.blocks_of[job.id], self.organisation_of[job.id] = blocks, organisation
        return job.id

    def round(self) -> None:
        self.now += self.tick
        self.reader._round()

    def active(self) -> list[str]:
        return [taken.plan.job_id for taken in self.reader._active]

    def organisations_waiting(self) -> set[str]:
        """Those that have a plan that waits, and none in a slot."""
        waiting = {self.organisation_of[taken.plan.job_id] for taken in self.reader._waiting}
        return waiting - {self.organisation_of[job_id] for job_id in self.active()}

    def waiting(self, plan: UndoRows, start: Input, context: SourceContext) -> BlockSource:
        """The blocks of a plan that asks Elasticsearch before each, and counts anew in each slot, as exports do. A
        block takes a round."""
        due, after = self.now + self.counting.get(plan.job_id, 0.0), start
        for step in undo_rows(plan, start, context):
            assert isinstance(step, Step)
            while not self.answers or self.now < due:
                yield WAITING
            due, after = self.now + self.tick, step.after
            yield step
        return after

    def published(self, job_id: str) -> bool:
        """Whether Kafka has a block of a plan."""
        return (job_id, 0) in self.kafka.published

    def _told(self, report: Report) -> None:
        job = self.reader._view.get(report.job_id)
        if job is not None and isinstance(report, InputAdvanced | InputEnded):
            offset = MORE_THAN_ANY + len(self.kafka.blocks) + job.command_offset
            self.reader._view.put(replace(job, undo_input=report.input, command_offset=offset))


def test_a_small_plan_gets_a_slot_while_another_organisation_has_a_hundred_large_ones() -> None:
    world = World(OPEN_PLANS)
    for _ in range(100):
        world.add("flood", MORE_THAN_ANY)
    for _ in range(20):
        world.round()
    small = world.add("other", 3)
    for _ in range(3 * LOOK_ROUNDS):
        world.round()
    assert world.kafka.ended[small] == 1
    assert not any(world.kafka.ended[job_id] for job_id in world.blocks_of if job_id != small)


def test_a_plan_in_a_slot_has_its_organisations_share_of_the_turns() -> None:
    world = World(OPEN_PLANS, weights={"heavy": 3.0})
    for _ in range(OPEN_PLANS - 2):
        world.add("flood", MORE_THAN_ANY)
    world.add("other", MORE_THAN_ANY)
    world.add("heavy", MORE_THAN_ANY)
    for _ in range(40):
        world.round()
    blocks = Counter(world.organisation_of[job_id] for job_id, _ in world.kafka.blocks)
    assert blocks["flood"] <= 1.1 * blocks["other"]
    assert 2.7 * blocks["other"] <= blocks["heavy"] <= 3.3 * blocks["other"]


WORK = st.lists(st.tuples(ORGANISATIONS, st.integers(1, 60), st.integers(0, 30)), min_size=1, max_size=25)


@given(WORK, st.integers(1, 4), st.booleans())
@settings(deadline=None, max_examples=60)
def test_every_organisation_gets_a_slot_soon_and_each_block_is_published_once(
    work: list[tuple[str, int, int]], slots: int, reported: bool
) -> None:
    """`work`: organisation, blocks of the plan, and the round in which it comes."""
    world = World(slots, reported=reported)
    coming = defaultdict(list)
    for organisation, blocks, at in work:
        coming[at].append((organisation, blocks))
    waited: Counter[str] = Counter()
    # each of the others' plans has its time, of which the reader learns when it looks, and takes two rounds to leave
    bound = 4 * (SLOT_SECONDS + LOOK_ROUNDS + 3)
    total = sum(blocks for _, blocks, _ in work)
    for number in range(31 + 4 * total):
        for organisation, blocks in coming.pop(number, ()):
            world.add(organisation, blocks)
        world.round()
        assert len(world.active()) <= slots
        waiting = world.organisations_waiting()
        waited = Counter({name: waited[name] + 1 for name in waiting})
        assert max(waited.values(), default=0) <= bound
        if not coming and not world.reader._waiting and not world.active():
            break
    every = [(job_id, block) for job_id, blocks in world.blocks_of.items() for block in range(blocks)]
    assert sorted(world.kafka.blocks) == sorted(every)
    assert world.kafka.ended == Counter(world.blocks_of.keys())
    world.reader._next_commit = 0
    world.round()
    assert world.plans.committed == {0: len(work)}


def test_a_plan_that_leaves_its_slot_is_not_acknowledged_when_the_reader_stops() -> None:
    world = World(1)
    world.add("a", MORE_THAN_ANY)
    world.round()
    world.add("b", 1)
    world.now += SLOT_SECONDS
    taken = world.reader._active[0]
    while not taken.leaving:
        world.round()
    world.kafka.flush = lambda _seconds: True  # type: ignore[attr-defined]
    world.reader._finish_plans()
    assert world.plans.committed == {}


def test_a_plan_without_a_block_keeps_its_next_slot_longer() -> None:
    """An export counts anew what lies before its checkpoint: stopped too soon, it would never come further."""
    world = World(1)
    world.add("a", 1)
    taken, work = world.reader._waiting[0], Work()
    for times in (1, 2, 4):
        taken.begin(work, now=0.0)
        assert not taken.held(SLOT_SECONDS * times - 1).expired and taken.held(SLOT_SECONDS * times).expired
        taken.leave(SLOT_SECONDS * times)
        taken.left(work)
    taken.begin(work, now=0.0)
    taken.leave(1.0)
    assert taken.patience == 8, "it has not had its time"
    work.has_advanced = True
    assert taken.held(SLOT_SECONDS) == Held("", expired=True, advanced=True)
    taken.left(work)
    assert taken.patience == 1


class Work(PlanRun):
    """Work on a plan that publishes what the test says."""

    has_advanced, covered, stage = False, Input(), Stage.READING

    def __init__(self) -> None: ...

    def stop(self) -> None: ...


@given(
    st.lists(st.tuples(ORGANISATIONS, st.sampled_from([1, 5, MORE_THAN_ANY])), min_size=2, max_size=8),
    st.integers(1, 3),
    st.lists(st.floats(0, 400), max_size=3),
)
@settings(deadline=None, max_examples=60)
def test_slots_are_shared_as_soon_as_plans_advance_again(
    plans: list[tuple[str, int]], most: int, silences: list[float]
) -> None:
    """`silences`: how long Elasticsearch does not answer, each time, so that no plan publishes anything."""
    world = World(most, tick=TICK)
    organisations = {name for name, _ in plans}
    bound = (len(organisations) / most + 1) * SLOT_SECONDS
    # the reader stops one plan at a time, learns of it when it looks, and the plan takes two rounds to leave
    bound += (len(organisations) + 1) * (LOOK_ROUNDS + 3) * TICK
    with patch.object(plan_run, "block_source", world.waiting):
        for name, blocks in plans:
            world.add(name, blocks)
        for silence in [*silences, 0.0]:
            end = world.now + silence
            world.answers, world.tick = False, 2.0
            while world.now < end:
                world.round()
            world.answers, world.tick, since = True, TICK, world.now
            waits = dict.fromkeys(organisations, since)
            while world.now < since + 2 * bound:
                world.round()
                waiting = world.organisations_waiting()
                waits = {name: begun if name in waiting else world.now for name, begun in waits.items()}
                assert world.now - min(waits.values()) <= bound


@given(st.lists(st.sampled_from([0.0, 4.0, 30.0, inf]), min_size=1, max_size=3), st.floats(2 * TICK, 3))
@settings(deadline=None, max_examples=60)
def test_every_plan_advances_beside_a_stream_of_short_ones_of_another_organisation(
    exports: list[float], pause: float
) -> None:
    """`exports`: how long each counts in a slot before it has a block, or for ever; `pause`: between short plans,
    in which the reader gives the slot back."""
    world = World(len(exports), tick=TICK)
    with patch.object(plan_run, "block_source", world.waiting):
        jobs = {world.add("large", MORE_THAN_ANY): seconds for seconds in exports}
        world.counting.update(jobs)
        short, comes = "", 3.0
        late = {job_id for job_id, seconds in jobs.items() if seconds < inf}
        while late:
            if world.now >= comes:
                short, comes = world.add("small", 1), inf
            world.round()
            if comes == inf and world.kafka.ended[short]:
                comes = world.now + pause
            late = {job_id for job_id in late if not world.published(job_id)}
            assert world.now < 1000, late


WEIGHTS = st.dictionaries(ORGANISATIONS, st.sampled_from([0.01, 0.5, 1.0, 3.0, 100.0]))


@given(st.lists(ORGANISATIONS, max_size=40), st.integers(1, 8), WEIGHTS, st.data())
@settings(deadline=None)
def test_slots_come_to_rest_with_one_for_each_organisation_before_any_has_two(
    plans: list[str], most: int, weights: dict[str, float], data: st.DataObject
) -> None:
    """As long as the same plans wait, a plan is stopped so often at most as there are slots, and never back again."""
    slots = Slots(most, lambda name: weights.get(name, 1.0))
    waiting, held = list(plans), list[Held]()
    stopped = 0
    while True:
        while (place := slots.next(waiting, held)) is not None:
            name = waiting.pop(place)
            held.append(Held(name, expired=False, advanced=data.draw(st.booleans())))
            slots.served(name)
        place = slots.to_stop(waiting, held)
        if place is None:
            break
        stopped += 1
        assert stopped <= most
        name = held.pop(place).organisation
        slots.served(name)
        waiting.insert(0, name)
    having = Counter(one.organisation for one in held)
    assert len(held) == min(most, len(plans))
    assert not (set(waiting) - set(having) and max(having.values()) > 1)
