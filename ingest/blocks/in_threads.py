"""Has the blocks of a file made in a thread: a network file system may not answer for any time, and other plans go on
meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from ingest.block_source import WAITING, Step, Waiting
from schemas.job import Input

THREADS: Final = 64
"""Twice as many as plans are worked on at once: one that is stopped while its file does not answer keeps its thread."""
PATIENCE_SECONDS: Final = 0.1
"""How long the reader waits for a block: most take milliseconds."""
SILENT_SECONDS: Final = 5.0
"""A file that does not answer for this long is told to the operator."""

TOGETHER: Final = 4
"""Blocks that are made before the reader is told: to hand a block over takes a third of the time that it takes to make
it."""

Blocks = Generator[Step | Waiting | None, None, Input]


@dataclass(frozen=True, slots=True)
class _Made:
    """What a source has yielded, and what it has returned or raised then."""

    steps: list[Step | Waiting | None]
    end: Input | None = None
    error: Exception | None = None


class FileThreads:
    """The threads of one reader."""

    def __init__(
        self, patience: float = PATIENCE_SECONDS, clock: Callable[[], float] = time.monotonic, threads: int = THREADS
    ) -> None:
        """`clock` gives seconds of any steady clock."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="file")
        self._patience = patience
        self._clock = clock

    def run(self, blocks: Blocks, file: str | None) -> Blocks:
        """The same blocks; it yields that it waits while one of them takes long. `file`: its name, for people."""
        made: Future[_Made] | None = None
        try:
            while True:
                made = self._pool.submit(_some, blocks)
                yield from self._until(made, file)
                found = made.result()
                yield from found.steps
                if found.error is not None:
                    raise found.error
                if found.end is not None:
                    return found.end
        finally:
            if made is None or made.done():
                blocks.close()
            else:  # what it has opened is in use until the file answers
                made.add_done_callback(lambda _: blocks.close())

    def _until(self, made: Future[_Made], file: str | None) -> Generator[Waiting, None, None]:
        begun = self._clock()
        try:
            made.result(self._patience)
        except TimeoutError:
            silent = Waiting(f"the file {file} does not answer; see the storage that it lies on")
            while not made.done():
                yield silent if self._clock() - begun >= SILENT_SECONDS else WAITING


def _some(blocks: Blocks) -> _Made:
    steps: list[Step | Waiting | None] = []
    try:
        while len(steps) < TOGETHER:
            steps.append(next(blocks))
    except StopIteration as end:
        return _Made(steps, end=end.value)
    except Exception as error:
        return _Made(steps, error=error)
    return _Made(steps)
