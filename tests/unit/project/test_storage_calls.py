"""Calls that the storage may leave unanswered are made in threads of their own."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest

from runtime.files.storage_threads import THREADS, in_storage_thread
from tests.support.places import ROOT
from tests.support.waiting import PATIENCE

TOUCHES = re.compile(r"storage_root|runtime\.files|api\.uploads|processor\.erasure")
WHERE = ("api/uploads/", "processor/erasure/", "runtime/files/")
OTHERWISE = {
    "api/app.py": "ends threads",
    "api/glance/installation.py": "asks Kafka",
    "processor/erasure/topics.py": "asks Kafka",
    "processor/execution/inspections.py": "compares rows",
    "processor/worker.py": "waits at its start, or reads Kafka",
}
"""Modules that use the event loop's threads, and for what."""


def test_no_call_to_the_storage_takes_a_thread_of_the_event_loop() -> None:
    found = set()
    for folder in ("api", "processor", "runtime", "ingest"):
        for path in (ROOT / folder).rglob("*.py"):
            name, text = path.relative_to(ROOT).as_posix(), path.read_text("utf-8")
            if "to_thread(" in text and (name.startswith(WHERE) or TOUCHES.search(text)):
                found.add(name)
    assert found - set(OTHERWISE) == set(), "use in_storage_thread"
    assert set(OTHERWISE) <= found, "they use none any more"


def test_a_storage_that_hangs_leaves_other_calls_their_threads() -> None:
    answers = threading.Event()

    async def story() -> None:
        hanging = [asyncio.create_task(in_storage_thread(answers.wait, PATIENCE)) for _ in range(THREADS + 40)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "looked up"), PATIENCE) == "looked up"
        answers.set()
        assert all(await asyncio.gather(*hanging))

    asyncio.run(story())


def test_a_call_to_the_storage_gives_what_it_gives() -> None:
    async def story() -> None:
        assert await in_storage_thread(dict, [("a", 1)], b=2) == {"a": 1, "b": 2}
        with pytest.raises(FileNotFoundError):
            await in_storage_thread(open, "/no/such/file")

    asyncio.run(story())
