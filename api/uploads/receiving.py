"""Reads the multipart body of a new job: the file goes to disk as it comes, the job's JSON into memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import ClientDisconnect

from api.errors import ApiError, invalid
from api.uploads.multipart import FormReader, PartBegan, PartData, PartEnded, PartEvent, broken_off
from api.uploads.spool import SpooledFile
from csvfile.header import HEAD_BYTES

MOST_JSON_BYTES = 64 * 1024
MOST_FIELDS = 100
"""Of a web page's form."""
_WRITE_BYTES = 1024 * 1024
_DRAIN_BYTES = 32 * 1024 * 1024
_DRAIN_SECONDS = 5.0

Check = Callable[[bytes, bytes, bool], None]
"""Called with the job's JSON, the file's first bytes, and whether these are all of it; raises ApiError to refuse."""

Describe = Callable[[Mapping[str, str]], bytes]
"""Called with the fields of a web page's form that came before its file; the job's JSON."""


@dataclass(frozen=True, slots=True)
class Form:
    """A body that has been read to its end."""

    job: bytes
    file: SpooledFile | None
    """Closed, not yet kept."""


class _Receiver:
    """The state of one body: which part it is in, and what has come of each."""

    def __init__(self, root: Path, job_id: str, check: Check, describe: Describe | None) -> None:
        self._root = root
        self._job_id = job_id
        self._check = check
        self._describe = describe
        self._fields: dict[str, str] = {}
        self._checked = False
        self._part = ""
        self._pending = bytearray()
        self.job: bytes | None = None
        self.file: SpooledFile | None = None

    async def take(self, event: PartEvent) -> None:
        match event:
            case PartBegan(name, filename):
                self._begin(name, filename)
            case PartData(data):
                await self._more(data)
            case PartEnded():
                await self._end()

    def _begin(self, name: str, filename: str | None) -> None:
        self._part = name
        self._pending.clear()
        if self._describe is not None and self.job is None:
            if name != "file":
                return
            if not filename:
                raise no_file_chosen()
            self.job = self._describe(self._fields)
        taken = {"job": self.job, "file": self.file}
        if name not in taken:
            raise invalid(f"the part {name[:80]!r} is not known; send one part 'job' (JSON) and one part 'file'")
        if taken[name] is not None:
            raise invalid(f"the part {name!r} comes twice; send it once")
        if name == "file":
            self.file = SpooledFile(self._root, self._job_id, filename)

    async def _more(self, data: bytes) -> None:
        self._pending += data
        if self._part == "file":
            if len(self._pending) >= _WRITE_BYTES:
                await self._flush()
        elif len(self._pending) + sum(map(len, self._fields.values())) > MOST_JSON_BYTES:
            raise ApiError(
                413, f"the part {self._part[:80]!r} is larger than {MOST_JSON_BYTES} bytes; only the file may be large"
            )

    async def _end(self) -> None:
        if self._describe is not None and self._part != "file":
            self._fields[self._part[:80]] = self._pending.decode("utf-8", "replace")
            if len(self._fields) > MOST_FIELDS:
                raise invalid(f"the form has more than {MOST_FIELDS} fields; open the page anew and send it again")
            return
        if self._part == "job":
            self.job = bytes(self._pending)
        else:
            assert self.file is not None
            await self._flush()
            await asyncio.to_thread(self.file.close)
        self._look(ended=True)
        self._part = ""

    async def _flush(self) -> None:
        assert self.file is not None
        data = bytes(self._pending)
        self._pending.clear()
        await asyncio.to_thread(self.file.write, data)
        self._look(ended=False)

    def _look(self, ended: bool) -> None:
        """Look at the header as soon as it and the job are here: a wrong file need not be sent to its end.

        It is here once the file has ended, or more of it has come than a header may take.
        """
        if self._checked or self.job is None or self.file is None:
            return
        digest = self.file.digest
        whole = digest.bytes <= HEAD_BYTES
        if ended or not whole:
            self._checked = True
            self._check(self.job, digest.head, whole)


async def receive_form(
    body: AsyncIterator[bytes],
    boundary: bytes,
    root: Path,
    job_id: str,
    check: Check,
    describe: Describe | None = None,
) -> Form:
    """Both parts, in whichever order they come; with `describe` instead of ``job`` any fields, and then the file.

    Whatever goes wrong, no file is left behind.

    Raises:
        ApiError: 400, the body is not what it should be, or broke off; 413; 503, the disk does not take the file;
            and whatever `check` raises.
    """
    receiver = _Receiver(root, job_id, check, describe)
    reader = FormReader(boundary)
    try:
        async for chunk in body:
            for event in reader.feed(chunk):
                await receiver.take(event)
        reader.close()
        if receiver.job is None and describe is not None:
            raise no_file_chosen()
        if receiver.job is None:
            raise invalid("the part 'job' is missing; send the job's JSON in a part of this name")
        return Form(receiver.job, receiver.file)
    except ClientDisconnect as gone:
        await _discard(receiver)
        raise broken_off() from gone
    except ApiError:
        await _discard(receiver)
        await _drain(body)
        raise
    except BaseException:
        await _discard(receiver)
        raise


def no_file_chosen() -> ApiError:
    """400: a web page's form came without its file."""
    return invalid("no file was chosen; choose the CSV file to send")


async def _discard(receiver: _Receiver) -> None:
    if receiver.file is not None:
        # In a thread: to remove a large file takes long. It goes on, also when the request is cancelled.
        await asyncio.shield(asyncio.to_thread(receiver.file.discard))


async def _drain(body: AsyncIterator[bytes]) -> None:
    """Read on for a while: a client that is still sending when the connection closes may never see the answer."""
    left = _DRAIN_BYTES
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for chunk in body:
                left -= len(chunk)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect):
        return
