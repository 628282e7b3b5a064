"""Threads for calls that the storage may leave unanswered: a network file system blocks for any time.

They are apart from those of other blocking calls. Once such calls had all of the event loop's threads, nothing that
has to do with no file would have its turn either: names of servers are looked up there, and first rows looked at.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Final, TypeVar

T = TypeVar("T")

THREADS: Final = 16


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="storage")


async def in_storage_thread(call: Callable[..., T], *given: object, **named: object) -> T:
    """As `asyncio.to_thread`. A call that is given up goes on in its thread."""
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads(), partial(context.run, call, *given, **named))
