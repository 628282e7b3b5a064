"""The file of a draft: it comes in parts, and lies below the storage root until the job starts.

The API stores the file as it is sent. The start of the job converts it; other uploads are converted as they arrive.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from starlette.requests import ClientDisconnect

from api.errors import ApiError
from api.uploads.multipart import broken_off
from api.uploads.spool import is_part, make_folder, safe_name, storage_problem, try_lock
from runtime.files.storage_threads import in_storage_thread
from schemas.job import Job, State

NAME: Final = ".draft"
"""No `safe_name` is like this."""
FILE_BUSY: Final = "FILE_BUSY"
OFFSET_MISMATCH: Final = "OFFSET_MISMATCH"
"""The two are reasons, in the details of a 409, after which a client asks for the offset and goes on from there."""
_WRITE_BYTES: Final = 1024 * 1024


class DraftFile:
    """The file of one job; every method but `append` blocks."""

    def __init__(self, root: Path, job_id: str, name: str | None, most_bytes: int) -> None:
        """`most_bytes`: the size that the file may have."""
        self.path = root / "sources" / job_id / NAME
        self.stored_as = f"sources/{job_id}/{safe_name(name)}"
        self._root = root
        self._final = root / self.stored_as
        self._most_bytes = most_bytes

    def size(self) -> int:
        """Bytes that have come."""
        for path in (self.path, self._final):
            with suppress(OSError):
                return path.stat().st_size
        return 0

    async def append(self, offset: int, body: AsyncIterator[bytes]) -> int:
        """Append `body` at `offset`; returns the file's size after that. If the body breaks off, the bytes that have
        come stay.

        Raises:
            ApiError: 409, `offset` is not the size so far, or another request is sending the file; 413, the file
                becomes too large; 400, the body broke off; 507 or 503, the disk does not take it; and what `body`
                raises.
        """
        with self._opened(offset) as descriptor:
            pending = bytearray()
            try:
                async for chunk in body:
                    pending += chunk
                    offset += len(chunk)
                    if offset > self._most_bytes:
                        raise ApiError(413, f"the file is to have at most {self._most_bytes:,} bytes")
                    if len(pending) >= _WRITE_BYTES:
                        data, pending = bytes(pending), bytearray()
                        await in_storage_thread(_write, descriptor, data)
            except ClientDisconnect as gone:
                raise broken_off() from gone
            finally:
                if offset <= self._most_bytes:
                    await asyncio.shield(in_storage_thread(_write, descriptor, bytes(pending), True))
        return offset

    def head(self, size: int) -> bytes:
        """Its first bytes."""
        with self.path.open("rb") as file:
            return file.read(size)

    @contextmanager
    def named(self) -> Iterator[Path]:
        """The file under the name that readers are told; it becomes a draft again if its job is refused.

        After a 503 it stays: the command may stand in the log. It stays as well where a start before this one has given
        it that name, for that one may have been accepted by now: whatever this one is refused for, the job reads the
        file. To be entered while it is `locked`.
        """
        renamed = False
        with suppress(FileNotFoundError):
            self.path.replace(self._final)
            renamed = True
        try:
            yield self._final
        except ApiError as error:
            if renamed and error.code != 503:
                with suppress(FileNotFoundError):  # the job was terminated meanwhile
                    self._final.replace(self.path)
            raise

    def remove(self) -> None:
        """Remove what has come of the file, after its job has ended without one. Starts that got no answer may have
        left files besides the draft. Those that are under way remove their own parts.
        """
        folder = self.path.parent
        for path in folder.iterdir() if folder.is_dir() else ():
            if not is_part(path.name):
                path.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()

    def replaced_by(self, stored_as: str | None) -> None:
        """Remove the part of the file that was received, if the job's file is there: `stored_as`, below the root."""
        if stored_as is not None and (self._root / stored_as).exists():
            self.path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[Path]:
        """Where it lies, under either name; no other request writes to it, or starts its job, meanwhile.

        Raises:
            ApiError: 409, another request is at it, or has started the job.
        """
        # A start before this one may not have been answered: the file has its final name then.
        path = self.path if self.path.exists() or not self._final.exists() else self._final
        with self._opened(None, path):
            yield path

    @contextmanager
    def _opened(self, offset: int | None, path: Path | None = None) -> Iterator[int]:
        path = path or self.path
        try:
            make_folder(self._root, path.parent)
            new = os.O_CREAT if path == self.path else 0
            descriptor = os.open(path, os.O_RDWR | new | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError as error:
            raise _busy() from error  # it has become a draft again just now
        except OSError as error:
            raise storage_problem(error) from error
        try:
            if not try_lock(descriptor) or not _lies_at(descriptor, path):
                raise _busy()  # or a start that has just ended has renamed or removed it
            size = os.fstat(descriptor).st_size
            if new and size == 0 and self._has_been_started():
                path.unlink()
                raise ApiError(409, "all of the file has come, and the job is being started")
            if offset is not None and offset != size:
                raise ApiError(
                    409,
                    f"{size:,} bytes of the file have come: go on from there, not from {offset:,}",
                    {"reason": OFFSET_MISMATCH, "offset": size},
                    {"Upload-Offset": str(size)},
                )
            yield descriptor
        finally:
            os.close(descriptor)

    def _has_been_started(self) -> bool:
        """Whether the folder has what a start has made of the file."""
        return any(not entry.name.startswith(".") for entry in os.scandir(self.path.parent))


def _busy() -> ApiError:
    text = "another request is sending this file, or starts its job; wait until it has ended, and ask for the offset"
    return ApiError(409, text, {"reason": FILE_BUSY})


def _lies_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


async def drafts_bytes(root: Path, jobs: Iterable[Job]) -> int:
    """Bytes that have come for those of these jobs that are drafts."""
    files = [DraftFile(root, job.id, job.source.name, 0) for job in jobs if job.state is State.DRAFT]
    return await in_storage_thread(lambda: sum(file.size() for file in files)) if files else 0


def kept_drafts(root: Path, job_ids: Iterable[str] | None = None) -> dict[str, int]:
    """Job id -> when a part of its file came last, milliseconds since 1970, of those drafts that have a file.

    `job_ids`: looks at these only; None: at the folder of every job, of thirty days maybe.
    """
    found, sources = {}, root / "sources"
    for path in sources.glob(f"*/{NAME}") if job_ids is None else (sources / job_id / NAME for job_id in job_ids):
        with suppress(FileNotFoundError):
            found[path.parent.name] = path.stat().st_mtime_ns // 1_000_000
    return found


def remove_drafts(root: Path, job_ids: Iterable[str]) -> None:
    """Remove the files of these jobs."""
    for job_id in job_ids:
        path = root / "sources" / job_id / NAME
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()


def _write(descriptor: int, data: bytes, last: bool = False) -> None:
    try:
        os.lseek(descriptor, 0, os.SEEK_END)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if last:
            os.fsync(descriptor)
    except OSError as error:
        raise storage_problem(error) from error
