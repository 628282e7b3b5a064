"""The port of the metrics says of control what the API's own port says, and asks the event loop nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

import api.app
from api.readmodel.job_feed import JobFeed
from api.web.readiness import ControlWatch, control_now
from runtime.settings import Settings


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def looked(watch: ControlWatch, *answers: bool) -> None:
    """Have it look so many times; whether Kafka answers."""
    left, over = iter(answers), asyncio.Event()

    async def look() -> bool:
        for answer in left:
            return answer
        over.set()
        return await asyncio.get_running_loop().create_future()

    async def pause(_seconds: float) -> None: ...

    task = asyncio.create_task(watch.run(look, pause))
    await over.wait()
    task.cancel()


@pytest.mark.parametrize("works", [True, False])
def test_the_port_and_the_gauge_of_the_api_follow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    ports: list[tuple[CollectorRegistry, Callable[[], bool]]] = []
    monkeypatch.setattr(api.app, "ControlWatch", lambda _live: SimpleNamespace(works=works))
    monkeypatch.setattr(api.app, "serve", lambda _settings, registry, ready: ports.append((registry, ready)))
    api.app.create_app(Settings(home=tmp_path))
    ((registry, ready),) = ports
    assert (ready(), registry.get_sample_value("sluice_ready")) == (works, float(works))


@pytest.mark.parametrize(("kafka", "caught_up"), list(itertools.product([True, False], repeat=2)))
def test_both_ports_are_ready_once_the_view_is_complete_and_kafka_answers(kafka: bool, caught_up: bool) -> None:
    class Commands:
        async def answers(self) -> bool:
            return kafka

    async def story() -> None:
        live = JobFeed()
        watch = ControlWatch(live, Clock())
        commands: Any = Commands()
        await looked(watch, kafka)
        if caught_up:
            live.set_caught_up()  # it counts at once, and not from the next look on
        now = await control_now(commands, live)
        assert watch.works == now.works == (kafka and caught_up)

    asyncio.run(story())


def test_a_kafka_that_is_gone_and_comes_back_is_seen() -> None:
    async def story() -> None:
        live = JobFeed()
        live.set_caught_up()
        watch = ControlWatch(live, Clock())
        assert not watch.works, "nobody has looked yet"
        for kafka in (True, False, True):
            await looked(watch, kafka)
            assert watch.works == kafka

    asyncio.run(story())


def test_an_event_loop_that_hangs_is_not_ready() -> None:
    async def story() -> None:
        clock, live = Clock(), JobFeed()
        live.set_caught_up()
        watch = ControlWatch(live, clock)
        await looked(watch, True)
        clock.now += 8
        assert watch.works
        clock.now += 8
        assert not watch.works

    asyncio.run(story())
