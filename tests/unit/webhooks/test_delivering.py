"""The deliverer with receivers that are told what to answer, and a clock that moves when it waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from api.errors import KafkaUnavailableError, RecordTooLargeError
from api.webhooks.delivering import Deliverer
from api.webhooks.intake import BehindError, EventRecord, Intake
from api.webhooks.metrics import WebhookMetrics
from api.webhooks.posting import Message
from api.webhooks.receiver_queue import AT_ONCE, ReceiverQueue
from api.webhooks.store import WebhookStore
from api.webhooks.trying import Trials
from control.webhooks import registry
from control.webhooks.schedule import DAY_MS, Outcome
from control.webhooks.signing import id_for_addresses
from runtime.clock import Clock
from schemas.job import Job, Options, State
from schemas.messages.codec import decode, encode
from schemas.messages.events import JobEvent
from schemas.messages.webhooks import Delivery, Webhook, delivery_key
from tests.support.waiting import PATIENCE

NOW = 1_790_000_000_000
TAKEN, AWAY, REFUSED = Outcome(204, None), Outcome(None, "refused"), Outcome(400, "the receiver answered 400")


class Topics:
    """Stands for Kafka."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, bytes | None]] = []
        self.down = 0
        self.too_long = "none"

    async def append(self, topic: str, name: str, value: bytes | None) -> int:
        await asyncio.sleep(0)
        if self.down:
            self.down -= 1
            raise KafkaUnavailableError("no broker")
        if self.too_long in name:
            raise RecordTooLargeError("too large")
        self.records.append((topic, name, value))
        return len(self.records) - 1

    async def end_of_events(self) -> int:
        return 0


class World:
    """A deliverer; time goes on only while all wait."""

    def __init__(self, answer: Callable[[Message, int], Outcome], patience_ms: int = DAY_MS, **hook: Any) -> None:
        self.topics = Topics()
        self.store = WebhookStore(self.topics)
        self.hook = self.add("0123456789", **hook)
        self.answer = answer
        self.now = NOW
        self.sent: list[tuple[int, Message]] = []
        self.open = self.most_open = 0
        self.closed = 0
        self.owned = True
        self.metrics = WebhookMetrics(CollectorRegistry())
        clock = Clock(now_ms=lambda: self.now, monotonic=lambda: self.now / 1000, sleep=self.sleep)
        self.deliverer = Deliverer(
            self.store, lambda: self, patience_ms, self.metrics, lambda: self.owned, lambda: 10**9, clock, lambda: 0.0
        )

    def add(self, webhook_id: str, **more: Any) -> Webhook:
        values: dict[str, Any] = {"name": webhook_id, "organisation": "acme", "url": f"https://{webhook_id}.org/"}
        hook = Webhook(id=webhook_id, secret="whsec_c2Vj", created_at=NOW, created_by="me", **{**values, **more})
        self.store.webhooks.put(hook.id, hook)
        return hook

    async def sleep(self, seconds: float) -> None:
        for _ in range(50):  # whatever else can go on goes on first
            await asyncio.sleep(0)
        self.now += max(1, int(seconds * 1000))

    async def post(self, message: Message, at_ms: int) -> Outcome:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        self.sent.append((at_ms - NOW, message))
        return self.answer(message, at_ms - NOW)

    async def close(self) -> None:
        self.closed += 1

    def pend(self, number: int, hook: Webhook | None = None, **more: Any) -> Delivery:
        values: dict[str, Any] = {"job_id": f"j{number}", "begun_at": self.now, "due_at": self.now}
        found = Delivery(
            webhook_id=(hook or self.hook).id, organisation="acme", event_id=f"e{number}", event_type="t", body="{}",
            created_at=NOW + number, place=number, **{**values, **more},
        )  # fmt: skip
        self.store.deliveries.put(delivery_key(found), found)
        return found

    def run(self, until: Callable[[], bool]) -> None:
        async def through() -> None:
            running = asyncio.create_task(self.deliverer.run())
            try:
                async with asyncio.timeout(PATIENCE):
                    while not until():
                        await asyncio.sleep(0)
                        if running.done():
                            await running
            finally:
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running

        asyncio.run(through())

    def of(self, status: str) -> list[str]:
        return [one.event_id for one in self.store.deliveries.every() if one.status == status]


def test_all_are_delivered_a_few_at_once_and_those_of_a_job_in_order() -> None:
    world = World(lambda *_: TAKEN)
    for number in range(40):
        world.pend(number, job_id=f"j{number % 8}")
    world.run(lambda: len(world.of("delivered")) == 40)
    assert world.most_open == AT_ONCE
    for job in range(8):
        own = [int(message.event_id[1:]) for _, message in world.sent if int(message.event_id[1:]) % 8 == job]
        assert own == sorted(own)
    assert world.closed == 1, "the connections are closed when nothing waits"


def test_a_receiver_that_is_away_is_asked_now_and_then_and_gets_all_when_it_is_back() -> None:
    back = 3600_000
    world = World(lambda _, at: TAKEN if at >= back else AWAY)
    for number in range(200):
        world.pend(number)
    world.run(lambda: not world.of("pending"))
    assert not world.of("failed")
    before = [at for at, _ in world.sent if at < back]
    assert 30 < len(before) < 120, "of many that wait, one is tried at a time"
    assert max(at for at, _ in world.sent) < back + 61_000
    assert {message.event_id for _, message in world.sent} == {f"e{number}" for number in range(200)}


def test_the_events_of_a_job_come_in_their_order_after_an_outage_too() -> None:
    world = World(lambda _, at: TAKEN if at > 30_000 else AWAY)
    for number in reversed(range(30)):
        world.pend(number, job_id=f"j{number % 3}")
    world.run(lambda: not world.of("pending"))
    taken = [int(message.event_id[1:]) for at, message in world.sent if at > 30_000]
    for job in range(3):
        own = [number for number in taken if number % 3 == job]
        assert own == sorted(own)


def test_what_a_receiver_refuses_holds_up_nothing_else_and_is_given_up_after_a_day() -> None:
    world = World(lambda message, _: REFUSED if message.event_id == "e0" else TAKEN)
    for number in range(5):
        world.pend(number)
    world.run(lambda: bool(world.of("failed")))
    assert sorted(world.of("delivered")) == ["e1", "e2", "e3", "e4"]
    times = [at for at, message in world.sent if message.event_id == "e0"]
    assert times[-1] == DAY_MS
    assert len(times) < 100
    assert all(at < 1000 for at, message in world.sent if message.event_id != "e0")


def test_when_the_time_is_over_all_are_given_up_and_kept() -> None:
    hours = 2 * 3600_000
    world = World(lambda *_: AWAY, hours)
    for number in range(40):
        world.pend(number)
    world.run(lambda: len(world.of("failed")) == 40)
    assert world.now - NOW < hours + 600_000
    assert any("away for too long" in (one.error or "") for one in world.store.deliveries.every())


def test_one_that_is_away_holds_up_no_other() -> None:
    world = World(lambda message, _: AWAY if "0123456789" in message.url else TAKEN)
    other = world.add("1111111111", organisation="globex")
    for number in range(10):
        world.pend(number)
        world.pend(100 + number, other)
    world.run(lambda: len(world.of("delivered")) == 10)
    assert world.now - NOW < 3000


def test_a_delivery_that_can_t_be_recorded_is_recorded_later_and_not_sent_again() -> None:
    world = World(lambda *_: TAKEN)
    world.pend(1)
    world.topics.down = 5
    world.run(lambda: world.of("delivered") == ["e1"])
    assert len(world.sent) == 1


def test_410_turns_a_webhook_off() -> None:
    world = World(lambda *_: Outcome(410, "the receiver answered 410"))
    for number in range(10):
        world.pend(number)
    world.run(lambda: len(world.of("failed")) == 10)
    assert len(world.sent) <= AT_ONCE
    assert world.store.webhooks.all[world.hook.id].off_since is not None


def test_what_waits_for_a_webhook_that_was_deleted_goes_as_well() -> None:
    world = World(lambda *_: TAKEN)
    world.pend(1)
    world.store.webhooks.put(world.hook.id, None)
    world.run(lambda: not list(world.store.deliveries.every()))
    assert world.sent == []


def test_a_process_that_may_have_been_replaced_sends_nothing() -> None:
    world = World(lambda *_: TAKEN)
    world.owned = False
    world.pend(1)
    with pytest.raises(ExceptionGroup):
        world.run(lambda: False)
    assert world.sent == []


def test_an_error_of_one_event_ends_no_other() -> None:
    def answer(message: Message, _: int) -> Outcome:
        if message.event_id == "e1":
            raise RuntimeError("a mistake of the program")
        return TAKEN

    world = World(answer)
    for number in range(3):
        world.pend(number)
    world.run(lambda: sorted(world.of("delivered")) == ["e0", "e2"])


def test_the_newest_are_kept_to_be_looked_at() -> None:
    world = World(lambda *_: TAKEN)
    for number in range(300):
        world.pend(number)
    world.run(lambda: len(world.sent) == 300 and len(world.of("delivered")) == registry.KEPT_DELIVERED)
    gone = [name for _, name, value in world.topics.records if value is None]
    assert len(gone) == len(set(gone)) == 300 - registry.KEPT_DELIVERED, "each is removed once"


def test_a_lane_forgets_what_was_delivered_elsewhere() -> None:
    world, lane = World(lambda *_: TAKEN), ReceiverQueue()
    one = world.pend(1)
    lane.offer(one)
    lane.offer(replace(one, status="delivered"))
    assert lane.idle
    assert lane.take(NOW, 0.0) is None


def test_a_receiver_is_asked_again_in_time_although_the_clock_has_been_set_back() -> None:
    world, queue = World(lambda *_: TAKEN), ReceiverQueue()
    queue.offer(world.pend(1, due_at=NOW - 7_200_000))
    queue.met(AWAY, 10.0, 0.0)
    left = queue.seconds_left(NOW - 3_600_000, 10.0)
    assert left and queue.take(NOW - 3_600_000, 10.0) is None
    assert queue.take(NOW - 3_600_000, 10.0 + left) is not None


# -- from events to deliveries ----------------------------------------------------------------------------------------


def event(number: int, **more: Any) -> EventRecord:
    job = Job(
        id=f"j{number}", operation="upload", dataset="people", organisation="acme", created_by="me",
        state=State.COMPLETED, created_at=NOW, command_offset=number, partitions=4, **more,
    )  # fmt: skip
    record = JobEvent(job_id=job.id, command_offset=number, at=NOW, event="Completed", state=job.state, job=job)
    return EventRecord(number, encode(record))


def take(world: World, *records: EventRecord, end: int = 0) -> None:
    asyncio.run(Intake(world.store, "http://sluice", Clock(now_ms=lambda: world.now)).take(records, end))


def test_events_that_come_again_make_no_second_delivery() -> None:
    world = World(lambda *_: TAKEN)
    take(world, event(1), event(2))
    world.run(lambda: len(world.of("delivered")) == 2)
    take(world, event(1), event(2), event(3))
    assert world.of("pending") == ["j3-3-Completed"]


def test_what_is_no_event_is_passed_over() -> None:
    world = World(lambda *_: TAKEN)
    take(world, EventRecord(1, None), EventRecord(2, b"{}"), event(3))
    assert len(world.of("pending")) == 1


def test_without_room_an_event_is_given_up_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.webhooks.intake.MOST_PENDING", 2)
    world = World(lambda *_: TAKEN)
    take(world, *(event(number) for number in range(5)))
    assert (len(world.of("pending")), len(world.of("failed"))) == (2, 3)


def test_an_event_that_kafka_never_takes_holds_up_no_other(caplog: pytest.LogCaptureFixture) -> None:
    world = World(lambda *_: TAKEN)
    world.topics.too_long = "j2-2-Completed"
    take(world, event(1), event(2), event(3))
    assert world.of("pending") == ["j1-1-Completed", "j3-3-Completed"]
    assert "j2-2-Completed" in caplog.text and "too long" in caplog.text


def test_nothing_is_committed_before_it_is_recorded() -> None:
    world = World(lambda *_: TAKEN)
    world.topics.down = 1
    with pytest.raises(KafkaUnavailableError):
        take(world, event(1))


def test_an_event_waits_until_the_webhooks_before_it_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.webhooks.intake.READ_SECONDS", 0.01)
    with pytest.raises(BehindError):
        take(World(lambda *_: TAKEN), event(1), end=5)


def test_a_webhook_of_another_organisation_with_the_id_is_not_its_own() -> None:
    world = World(lambda *_: TAKEN)
    own = id_for_addresses("acme")
    world.store.webhooks.put(own, replace(world.hook, id=own, organisation="globex"))
    take(world, event(1, options=Options(notify="https://mine.example.org/")))
    world.run(lambda: len(world.of("delivered")) == 2)
    assert world.store.webhooks.all[own].organisation == "acme"


def test_a_webhook_that_is_deleted_while_its_receiver_answers_stays_deleted() -> None:
    def gone(message: Message, _: int) -> Outcome:
        world.store.webhooks.put(world.hook.id, None)
        return Outcome(410, "the receiver answered 410")

    world = World(gone)
    take(world, event(1))
    world.run(lambda: bool(world.sent) and not world.store.deliveries.waiting(world.hook.id))
    assert world.store.webhooks.all == {}


def test_a_webhook_that_is_deleted_during_its_test_stays_deleted() -> None:
    world = World(lambda *_: TAKEN, off_since=5)

    class Receiver:
        async def post(self, message: Message, at: int) -> Outcome:
            world.store.webhooks.put(world.hook.id, None)
            return TAKEN

        async def close(self) -> None:
            """There is nothing to close."""

    told = asyncio.run(Trials(Receiver, "https://sluice.example").run(world.store, world.hook))
    assert (told.delivered, world.store.webhooks.all) == (True, {})


def test_the_first_address_that_a_job_names_makes_the_organisations_secret() -> None:
    world = World(lambda *_: TAKEN)
    take(world, event(1, options=Options(notify="https://mine.example.org/")))
    topic, name, value = world.topics.records[0]
    assert (topic, name) == ("webhooks", id_for_addresses("acme"))
    assert decode(value, Webhook).secret.startswith("whsec_")
    world.run(lambda: len(world.of("delivered")) == 2)
    assert {message.url for _, message in world.sent} == {world.hook.url, "https://mine.example.org/"}
