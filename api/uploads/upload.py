"""The file that a request brings: a sink for its bytes, and the one place that removes what no job will read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from msgspec.structs import replace

from api.errors import ApiError
from api.uploads.import_folders import Look
from api.uploads.spool import SpooledFile
from csvfile.header import HEAD_BYTES
from schemas.job import Source

_WRITE_BYTES: Final = 1024 * 1024


class Upload:
    """A request's file, once a part of the body brings one.

    Used as a context manager: at its end a file that was not kept is removed, however the request went.
    """

    def __init__(self, root: Path, job_id: str) -> None:
        """It is to lie below the storage root `root`, in the folder of its job."""
        self._root = root
        self._job_id = job_id
        self._file: SpooledFile | None = None
        self._pending = bytearray()
        self._look: Look | None = None
        self._columns: dict[str, str | None] | None = None
        self._ended = False
        self._kept = False

    async def __aenter__(self) -> Upload:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and not self._kept:
            await self._discard()

    @property
    def begun(self) -> bool:
        """Whether the request brings a file."""
        return self._file is not None

    @property
    def written(self) -> Path:
        """Where it lies until it is kept."""
        return self._spooled.written

    def source(self) -> Source:
        """What has come of it so far, as a job's source."""
        return replace(self._spooled.source(), columns=self._columns)

    def begin(self, name: str | None, stored_as: str | None = None) -> Upload:
        """Its first byte is about to come. The names are those of `SpooledFile`."""
        self._file = SpooledFile(self._root, self._job_id, name, stored_as)
        return self

    def look_with(self, look: Look) -> None:
        """Have its beginning looked at as soon as it is here, maybe now: a wrong file need not be sent to its end.

        It is here once the file has ended, or more of it has come than a header may take. Raises what `look` raises.
        """
        self._look = look
        self._try_look()

    async def take(self, data: bytes) -> None:
        """More of it. Raises ApiError: 503, the disk does not take it; and whatever `look` raises."""
        self._pending += data
        if len(self._pending) >= _WRITE_BYTES:
            await self._flush()

    async def end(self) -> None:
        """It is complete. Raises as `take`."""
        await self._flush()
        await asyncio.to_thread(self._spooled.close)
        self._ended = True
        self._try_look()

    @asynccontextmanager
    async def kept(self, unless: Callable[[], bool] = lambda: False) -> AsyncIterator[Source]:
        """The file under its name, for the command that is sent meanwhile.

        It is removed again if that command is refused, `unless` something else reads the file by then. After a 503, or
        an error that says nothing of the command, it stays: the command may stand in the log, and then a reader will
        want the file.

        Raises:
            ApiError: 503, the disk does not take it.
        """
        source = await asyncio.to_thread(self._spooled.keep)
        self._kept = True
        try:
            yield replace(source, columns=self._columns)
        except ApiError as error:
            if error.code != 503 and not unless():
                await self._discard()
            raise

    @property
    def _spooled(self) -> SpooledFile:
        assert self._file is not None, "the request brings no file"
        return self._file

    async def _flush(self) -> None:
        data = bytes(self._pending)
        self._pending.clear()
        if data:
            await asyncio.to_thread(self._spooled.write, data)
        self._try_look()

    def _try_look(self) -> None:
        digest = self._spooled.digest
        whole = digest.bytes <= HEAD_BYTES
        if self._look is not None and (self._ended or not whole):
            look, self._look = self._look, None
            self._columns = look(digest.head, whole)

    async def _discard(self) -> None:
        # In a thread: to remove a large file takes long. It goes on, also when the request is cancelled.
        await asyncio.shield(asyncio.to_thread(self._spooled.discard, kept=self._kept))
