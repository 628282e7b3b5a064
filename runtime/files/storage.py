"""The storage of exports' parts and results: a folder, or an S3 bucket. A file is complete, or it is not there.

In a folder a file gets its name only once the disk has it; in a bucket an object exists once its upload is complete.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from runtime.files.shared_folder import StorageAwayError, require_shared
from runtime.files.storage_threads import in_storage_thread
from runtime.settings import Settings

if TYPE_CHECKING:
    from obstore import GetOptions
    from obstore.store import S3Config

CHUNK_BYTES = 1024 * 1024
_UPLOAD_BYTES = 8 * 1024 * 1024
"""Pieces that a large file is sent in; a bucket takes 10,000 of them."""
_UPLOADS_AT_ONCE = 2
ANSWER_SECONDS = 5.0
"""How long a folder may take to be looked at."""


class StorageError(Exception):
    """The storage has failed. Trying again helps once the cause in the message is removed."""

    may_come = False
    """Whether the storage may still carry the request out: a bucket that did not answer may be at work on it."""
    away = False
    """Whether the whole folder can't be used for now. Nothing has been done, and waiting helps."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is there."""

    size: int
    etag: str
    """HTTP's ETag, with its quotes; it changes when the file changes."""
    modified: float
    """Seconds since 1970."""


class Storage:
    """Files by path, with slashes, below the storage's root.

    A folder is looked at before each use: in the place of one that is not mounted what is written would be lost, and
    what is there would seem to be gone. Its StorageError says that it is `away`.
    """

    def __init__(self, store: LocalStore | S3Store, folder: Path | None) -> None:
        """`folder`: the root, where the store is a folder."""
        self._store = store
        self._folder = folder
        self._look: asyncio.Future[None] | None = None

    async def put(self, path: str, data: bytes) -> None:
        """Write a small file, over one that may be there; returns once it is durable. Raises StorageError."""
        await self._require()
        try:
            await obstore.put_async(self._store, path, data)
            if self._folder is not None:
                await in_storage_thread(_make_durable, self._folder / path)
        except (OSError, BaseError) as error:
            raise self._unwritten(f"write {path}", error) from error

    async def publish(self, path: str, chunks: AsyncIterator[bytes], aside: str) -> None:
        """Write a file of any size, piece by piece; it is there once all of it is durable, and not before.

        `aside` is a path to prepare it under. An exception of `chunks` is raised, and leaves no file.

        Raises:
            StorageError: it can't be written.
        """
        place = path if self._folder is None else aside
        await self._require()
        try:
            await obstore.put_async(
                self._store, place, chunks, chunk_size=_UPLOAD_BYTES, max_concurrency=_UPLOADS_AT_ONCE
            )
            if self._folder is not None:
                await in_storage_thread(_move, self._folder / aside, self._folder / path)
        except (OSError, BaseError) as error:
            raise self._unwritten(f"write {path}", error) from error

    async def find(self, path: str) -> Stored | None:
        """The size, tag and time of a file; None: there is no file. Raises StorageError."""
        await self._require()
        try:
            meta = await obstore.head_async(self._store, path)
        except FileNotFoundError:
            return None
        except (OSError, BaseError) as error:
            raise _problem(f"look for {path}", error) from error
        modified = meta["last_modified"].timestamp()
        return Stored(meta["size"], meta["e_tag"] or f'"{modified:x}-{meta["size"]:x}"', modified)

    async def read(self, path: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`, in pieces.

        Raises:
            FileNotFoundError: there is no such file.
            StorageError: it can't be read.
        """
        span: GetOptions = {} if end is None else {"range": (start, end)}
        await self._require()
        try:
            found = await obstore.get_async(self._store, path, options=span)
            async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)
        except FileNotFoundError:
            raise
        except (OSError, BaseError) as error:
            raise _problem(f"read {path}", error) from error

    async def paths(self, folder: str) -> list[str]:
        """The files below a folder. Raises StorageError."""
        await self._require()
        try:
            return [item["path"] async for page in obstore.list(self._store, folder) for item in page]
        except (OSError, BaseError) as error:
            raise _problem(f"list {folder}", error) from error

    async def dated(self, folder: str) -> list[tuple[str, float]]:
        """The files below a folder, and when each was written, in seconds since 1970. Raises StorageError."""
        await self._require()
        try:
            pages = [page async for page in obstore.list(self._store, folder)]
        except (OSError, BaseError) as error:
            raise _problem(f"list {folder}", error) from error
        return [(item["path"], item["last_modified"].timestamp()) for page in pages for item in page]

    async def remove(self, paths: Iterable[str] = (), folder: str | None = None) -> None:
        """Remove files, and all of a folder; what is not there is no problem. Raises StorageError."""
        await self._require()
        wanted = list(paths)
        if folder is not None:
            wanted += await self.paths(folder)
        try:
            for path in wanted:
                with suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, path)
            if folder is not None and self._folder is not None:
                # no list shows the files of a process that died while it wrote
                await in_storage_thread(shutil.rmtree, self._folder / folder, ignore_errors=True)
        except (OSError, BaseError) as error:
            raise self._unwritten("remove files", error) from error

    async def _require(self) -> None:
        """Raises StorageError: the folder is away."""
        if self._folder is None:
            return
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(in_storage_thread(require_shared, self._folder))
        look = self._look  # all that use the storage meanwhile wait for the same answer
        if not (await asyncio.wait({look}, timeout=ANSWER_SECONDS))[0]:
            raise _away(f"the storage folder {self._folder} has not answered for {ANSWER_SECONDS:g} s")
        try:
            look.result()
        except StorageAwayError as error:
            raise _away(str(error)) from error

    def _unwritten(self, what: str, error: Exception) -> StorageError:
        problem = _problem(what, error)
        problem.may_come = self._folder is None
        return problem


def open_storage(settings: Settings) -> Storage:
    """The storage that the settings name. Nothing is connected to yet.

    Raises:
        StorageError: the URL is not one of a bucket, or the folder can't be made.
    """
    if settings.storage_url is None:
        try:
            return Storage(LocalStore(settings.storage_root, mkdir=True), settings.storage_root)
        except (OSError, BaseError) as error:
            raise _problem(f"use the folder {settings.storage_root}", error) from error
    url = urlsplit(settings.storage_url)
    if url.scheme != "s3" or not url.netloc:
        raise StorageError(f"SLUICE_STORAGE_URL is {settings.storage_url!r}; s3://bucket[/folder] is expected")
    return Storage(s3_store(settings, url.netloc, url.path.strip("/") or None), None)


def s3_store(
    settings: Settings, bucket: str, prefix: str | None = None, request_seconds: float | None = None
) -> S3Store:
    """A bucket, or what lies below a prefix of it, with the credentials of the settings."""
    secret = settings.s3_secret_access_key
    given = {
        "endpoint": settings.s3_endpoint,
        "region": settings.s3_region,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": secret.get_secret_value() if secret else None,
    }
    # So a worker that loses its partitions can wait for its requests in flight: see Engine.revoked.
    seconds = timedelta(seconds=request_seconds or settings.request_timeout_seconds / 2)
    return S3Store(
        bucket,
        prefix=prefix,
        config=cast("S3Config", {name: value for name, value in given.items() if value is not None}),
        client_options={"timeout": seconds, "allow_http": (settings.s3_endpoint or "").startswith("http://")},
        retry_config={"max_retries": 3, "retry_timeout": seconds},
    )


def _move(source: Path, target: Path) -> None:
    _make_durable(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    _sync(target.parent)


def _make_durable(path: Path) -> None:
    _sync(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _away(reason: str) -> StorageError:
    problem = StorageError(reason)
    problem.away = True
    return problem


def _problem(what: str, error: Exception) -> StorageError:
    reason = " ".join(str(error).split("\n\nDebug source")[0].split())
    return StorageError(f"the storage can't {what}: {reason}")
