"""Organisations share a reader's slots and turns: none of them waits for another one's plans to end."""

from __future__ import annotations

from collections import Counter, defaultdict
from math import inf
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import plan_run
from ingest.pending_plan import SLOT_SECONDS
from ingest.plan_run import PlanRun, Stage
from ingest.reader import LOOK_ROUNDS, OPEN_PLANS
from ingest.slots import Held, Slots
from schemas.job import Input
from tests.support.in_memory.reading import MORE_THAN_ANY, TICK, World

ORGANISATIONS = st.sampled_from("abcd")


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
