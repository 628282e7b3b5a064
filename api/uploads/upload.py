"""The file that a request brings: a sink for its bytes, and the one place that removes what no job will read."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final

from msgspec.structs import replace

from api.errors import ApiError
from api.uploads.allowance import UNBOUNDED, Allowance
from api.uploads.conversion import Conversion, plain
from api.uploads.import_folders import Look, Seen
from api.uploads.spool import SpooledFile
from api.uploads.unpacking import compression_of
from csvfile.header import HEAD_BYTES
from csvfile.layout import Text
from csvfile.line_lengths import LineLengths
from runtime.files.storage_threads import in_storage_thread
from schemas.job import Source

_WRITE_BYTES: Final = 1024 * 1024
_LOOK_BYTES: Final = 4 * _WRITE_BYTES
"""Bytes of the file after which it is looked at again."""
_COMPRESSED: Final = re.compile(r"\.(?:gz|zip)\Z", re.IGNORECASE)


class Upload:
    """A request's file, once a part of the body brings one. What lies on disk at the end is UTF-8, not compressed.

    Used as a context manager: at its end a file that was not kept is removed, however the request went.
    """

    def __init__(self, root: Path, job_id: str, most_bytes: int, allowance: Allowance = UNBOUNDED) -> None:
        """The API stores the file below the storage root `root`, in the folder of its job. A compressed file may unpack
        to `most_bytes`; `allow` may narrow the other bounds.
        """
        self._allowance = allowance
        self._lengths = LineLengths(allowance.line_bytes)
        self._received = 0
        self._root = root
        self._job_id = job_id
        self._most_bytes = most_bytes
        self._names: tuple[str | None, str | None] = (None, None)
        self._url: str | None = None
        self._file: SpooledFile | None = None
        self._pending = bytearray()
        self._writing: asyncio.Task[None] | None = None
        """Writes what came before, while more of the file arrives."""
        self._look: Look | None = None
        self._seen = Seen()
        self._text = Text()
        self._expected = False
        self._decided = False
        self._conversion: Conversion | None = None
        self._undecided = False
        """The file is stored as it comes, and looked at only when all of it is here: see `settle`."""
        self._ended = False
        self._kept = False

    async def __aenter__(self) -> Upload:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writing is not None:
                await asyncio.gather(self._writing, return_exceptions=True)
        finally:
            if self._file is not None and not self._kept:
                await self._discard()

    @property
    def begun(self) -> bool:
        """Whether the request brings a file."""
        return self._file is not None

    @property
    def written(self) -> Path:
        """The path of the file before the job keeps it."""
        return self._spooled.written

    def source(self) -> Source:
        """The part of the file that has arrived, as a job's source."""
        return self._with_seen(self._spooled.source())

    def begin(self, name: str | None, stored_as: str | None = None, url: str | None = None) -> Upload:
        """Begin the file; `url` is where the API fetches it from, None for a sent file. The names are those of
        `SpooledFile`."""
        self._url = url
        self._names = (name, stored_as)
        self._file = self._new_file()
        return self

    def forget(self) -> None:
        """Expect no file after all; the API has written nothing of the file yet."""
        self._file = None

    def allow(self, allowance: Allowance) -> None:
        """Narrow what may come, once its organisation is known. Raises ApiError 413 if too much has come already."""
        self._allowance = allowance
        self._lengths.most = allowance.line_bytes
        allowance.require_body(self._received)
        if self._file is not None:
            allowance.require_room(self._spooled.digest.bytes)

    def expect(self, text: Text) -> None:
        """Set the file's encoding and quotes; call this before the first bytes, which are converted as they arrive."""
        self._text = text
        self._expected = True

    def look_with(self, look: Look) -> None:
        """Have its beginning looked at as soon as it is here, maybe now: a wrong file need not be sent to its end.

        It is here once the file has ended, or more of it has come than a header may take. Raises what `look` raises.
        """
        self._look = look
        self._try_look()

    def seen(self, seen: Seen) -> None:
        """Note what the caller knows of the file besides what `look` tells."""
        self._seen = seen

    async def take(self, data: bytes) -> None:
        """More of it. It may be written later: a refusal of it comes with the next bytes, or with the end.

        Raises:
            ApiError: 507 or 503, the disk does not take it; 400, it is damaged, or not in its encoding; 413, it exceeds
                what is allowed; and whatever `look` raises.
        """
        self._received += len(data)
        self._allowance.require_body(self._received)
        self._pending += data
        if self._writing is not None and self._writing.done():
            await self._written_so_far()
        if len(self._pending) >= _WRITE_BYTES:
            await self._written_so_far()
            self._writing = asyncio.create_task(self._store(self._taken()))

    async def end(self) -> None:
        """The file is complete. Raises as `take`."""
        await self._written_so_far()
        await self._store(self._taken(last=True))
        await in_storage_thread(self._spooled.close)
        self._ended = True
        self._try_look()

    async def settle(self) -> None:
        """Everything is here, and `expect` was called: convert what could not be converted as it came.

        A zip archive says at its end what is in it; and a form may have its file before anything is said of it.
        Raises as `take`.
        """
        if self._undecided:
            self._undecided = False
            raw = self._spooled
            if not plain(raw.digest.head, self._text):
                self._conversion = Conversion(raw.digest.head, self._text, self._most_bytes)
                self._file, self._ended = self._new_file(), False
                try:
                    with raw.written.open("rb") as file:
                        await self._store(self._conversion.whole(file))
                finally:
                    await asyncio.shield(in_storage_thread(raw.discard))
                await in_storage_thread(self._spooled.close)
                self._ended = True
            else:
                with raw.written.open("rb") as file:
                    while await in_storage_thread(self._check_lines, file):
                        pass  # the next piece, with the threads free for other requests meanwhile
        self._try_look()

    def convert(
        self, name: str, file: IO[bytes], look: Look, stop: threading.Event, stored_as: str | None = None
    ) -> None:
        """Take an open file of the server in, in this thread, until its end or soon after `stop` is set.

        The names are those of `SpooledFile`. Raises as `take`.
        """
        self._look = look
        head = file.read(HEAD_BYTES)
        file.seek(0)
        self._conversion = Conversion(head, self._text, self._most_bytes)
        self.begin(name, stored_as)
        for piece in self._conversion.whole(file):
            self._write(piece)
            self._try_look()
            if stop.is_set():
                return
        self._spooled.close()
        self._ended = True
        self._try_look()

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[Source]:
        """The file under its name, for the command that is sent meanwhile.

        It is removed again if that command is refused. After a 503, or an error that says nothing of the command, it
        stays: the command may stand in the log, and then a reader will want the file.

        Raises:
            ApiError: 507 or 503, the disk does not take it.
        """
        source = await in_storage_thread(self._spooled.keep)
        self._kept = True
        try:
            yield self._with_seen(source)
        except ApiError as error:
            if error.code != 503:
                await self._discard()
            raise

    async def discard_unless(self, read: Source) -> None:
        """Remove the kept file again, unless it is the one that the job reads: an earlier request may have brought its
        own, and this one was its repeat.
        """
        if read.path != self._spooled.path:
            await self._discard()

    @property
    def _spooled(self) -> SpooledFile:
        assert self._file is not None, "the request brings no file"
        return self._file

    def _new_file(self) -> SpooledFile:
        name, stored_as = self._names
        if self._conversion is not None:
            stored_as = _COMPRESSED.sub("", stored_as or name or "")
        return SpooledFile(self._root, self._job_id, name, stored_as)

    def _with_seen(self, source: Source) -> Source:
        found = self._seen.format
        if self._conversion is not None:
            found = self._conversion.format(found)
        return replace(source, url=self._url, columns=self._seen.columns, format=found)

    async def _written_so_far(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    def _taken(self, last: bool = False) -> Iterator[bytes]:
        """What has come since the last call, as it is to be stored."""
        data = bytes(self._pending)
        self._pending.clear()
        if not self._decided and (data or last):
            self._decided = True
            # The first piece is longer than any mark.
            self._undecided = not self._expected or compression_of(data) == "zip"
            if not self._undecided and not plain(data, self._text):
                self._conversion = Conversion(data, self._text, self._most_bytes)
                self._file = self._new_file()
        return self._pieces(data, last)

    def _pieces(self, data: bytes, last: bool) -> Iterator[bytes]:
        if self._conversion is None:
            yield data
            return
        yield from self._conversion.feed(data)
        if last:
            yield from self._conversion.end()

    async def _store(self, pieces: Iterable[bytes]) -> None:
        """Write pieces, and look at the file after each `_LOOK_BYTES` or so."""
        left = iter(pieces)
        while await in_storage_thread(self._write_some, left):
            self._try_look()
        self._try_look()

    def _write_some(self, pieces: Iterator[bytes]) -> bool:
        """Write `_LOOK_BYTES` or so; whether there may be more."""
        size = 0
        for piece in pieces:
            if piece:
                self._write(piece)
            size += len(piece)
            if size >= _LOOK_BYTES:
                return True
        return False

    def _write(self, piece: bytes) -> None:
        self._spooled.write(piece)
        self._allowance.require_room(self._spooled.digest.bytes)
        if not self._undecided:
            self._allowance.require_lines(self._lengths, piece)

    def _check_lines(self, file: IO[bytes]) -> bool:
        """Check the lines of the next `_LOOK_BYTES`; whether there may be more."""
        piece = file.read(_LOOK_BYTES)
        if piece:
            self._allowance.require_lines(self._lengths, piece)
        return bool(piece)

    def _try_look(self) -> None:
        if self._undecided:
            return
        digest = self._spooled.digest
        whole = digest.bytes <= HEAD_BYTES
        if self._look is not None and (self._ended or not whole):
            look, self._look = self._look, None
            self._seen = look(digest.head, whole)

    async def _discard(self) -> None:
        # In a thread: to remove a large file takes long. It goes on, also when the request is cancelled.
        await asyncio.shield(in_storage_thread(self._spooled.discard, kept=self._kept))
