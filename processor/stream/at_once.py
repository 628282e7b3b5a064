"""Runs a coroutine up to its first wait without a task: most of those that hand out a record never wait."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from dataclasses import dataclass
from types import coroutine
from typing import Any


@dataclass(frozen=True, slots=True)
class Ended:
    """The coroutine has returned."""

    result: Any


def run_at_once(started: Coroutine[Any, Any, Any]) -> Ended | Coroutine[Any, Any, Any]:
    """Run a coroutine that has not begun until it waits for something; what is left of it is to be awaited, once.

    To be called inside the event loop. What the coroutine raises before it waits is raised here. Until then it runs in
    the caller's task, so it must not use what belongs to a task of its own, such as ``asyncio.timeout``.
    """
    try:
        waited_for = started.send(None)
    except StopIteration as end:
        return Ended(end.value)
    return _rest(started, waited_for)


async def _rest(started: Coroutine[Any, Any, Any], waited_for: Any) -> Any:
    return await _steps(started, waited_for)


@coroutine
def _steps(started: Coroutine[Any, Any, Any], waited_for: Any) -> Generator[Any, Any, Any]:
    """The coroutine from where it waits for `waited_for`, a future or, for a mere turn of the others, None."""
    try:
        while True:
            try:
                sent = yield waited_for
            except BaseException as error:
                waited_for = started.throw(error)
            else:
                waited_for = started.send(sent)
    except StopIteration as end:
        return end.value
    finally:
        started.close()
