"""Keys of jobs, and blocks of rows that only their job's key opens: see decision 0040.

A key is a file below the storage root, and nowhere else. Once it is removed, what was sealed with it can't be read any
more, wherever Kafka still has it.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import cramjam
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.ids import JOB_ID
from schemas.messages.blocks import Block, OpenBlock, PackedBlock, RowBlock, SealedBlock
from schemas.messages.codec import UndecodableError, decode, encode

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_HELD: Final = 256
_AT_ONCE: Final = 8
_FAST: Final = 1
"""LZ4 without its slow search: the default takes twenty times as long for a fifth less."""


class SealError(Exception):
    """A block can't be sealed or opened; the message says why. Trying again helps once the cause is removed."""


class JobKeys:
    """The keys, a file each; the last ones used are held in memory. Its methods block, for the time of a small file."""

    def __init__(self, storage_root: Path) -> None:
        self._folder = storage_root / "keys"
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None
        self._coming: dict[str, Future[bytes]] = {}

    def prepare(self, job_id: str) -> None:
        """Begin to find or make the job's key, beside others: a disk brings many new files to rest in the time of one.

        `obtain` waits for it and answers with what went wrong.
        """
        if job_id in self._held or job_id in self._coming:
            return
        self._pool = self._pool or ThreadPoolExecutor(_AT_ONCE, "job-keys")
        self._coming[job_id] = self._pool.submit(lambda: self._read(job_id) or self._made(job_id))

    def obtain(self, job_id: str) -> bytes:
        """The job's key, made if there is none.

        Raises:
            SealError: it can't be read or made.
        """
        coming = self._coming.pop(job_id, None)
        if coming is not None:
            return self._hold(job_id, coming.result())
        return self._known(job_id) or self._hold(job_id, self._made(job_id))

    def find(self, job_id: str) -> bytes:
        """The job's key.

        Raises:
            SealError: there is none (any more), or it can't be read.
        """
        found = self._known(job_id)
        if found is None:
            raise SealError(f"the key of job {job_id} is not in storage ({self._folder}): what it sealed can't be read")
        return found

    def remove(self, job_id: str) -> None:
        """Throw the key away, for all processes. Raises OSError."""
        self.forget(job_id)
        self._file(job_id).unlink(missing_ok=True)

    def forget(self, job_id: str) -> None:
        """Hold it in memory no more; one that is still to be made for `prepare` is not made."""
        self._held.pop(job_id, None)
        coming = self._coming.pop(job_id, None)
        if coming is not None:
            coming.cancel()

    def jobs(self) -> list[str]:
        """The jobs that have a key. Raises OSError."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if JOB_ID.match(path.name)]

    def _known(self, job_id: str) -> bytes | None:
        if job_id in self._held:
            self._held.move_to_end(job_id)
            return self._held[job_id]
        key = self._read(job_id)
        return key if key is None else self._hold(job_id, key)

    def _read(self, job_id: str) -> bytes | None:
        try:
            key = self._file(job_id).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SealError(f"the key of job {job_id} can't be read: {error.strerror}; see SLUICE_STORAGE") from error
        if len(key) != _KEY_BYTES:
            raise SealError(f"the key of job {job_id} is damaged: it has {len(key)} bytes")
        return key

    def _made(self, job_id: str) -> bytes:
        aside = self._folder / f".{secrets.token_hex(8)}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            with contextlib.suppress(FileExistsError):  # another process was faster: its key is the one
                os.link(aside, self._file(job_id))
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            return self._file(job_id).read_bytes()
        except OSError as error:
            raise SealError(f"no key can be made for job {job_id}: {error.strerror}; see SLUICE_STORAGE") from error
        finally:
            with contextlib.suppress(OSError):
                aside.unlink()

    def _hold(self, job_id: str, key: bytes) -> bytes:
        self._held[job_id] = key
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return key

    def _file(self, job_id: str) -> Path:
        if not JOB_ID.match(job_id):
            raise SealError(f"{job_id[:80]!r} is no job id")
        return self._folder / job_id


def seal(block: RowBlock, key: bytes) -> SealedBlock:
    """The block, readable with the key alone. The same block is sealed to the same bytes, as a repeat has to be."""
    content = bytes(cramjam.lz4.compress(encode(block), level=_FAST))
    nonce = hmac.digest(key, content, hashlib.sha256)[:_NONCE_BYTES]
    sealed = AESGCM(key).encrypt(nonce, content, _place(block))
    return SealedBlock(
        job_id=block.job_id, block=block.block, first_row=block.first_row, run=block.run, content=nonce + sealed
    )


def opened(value: bytes, key_of: Callable[[str], bytes]) -> tuple[OpenBlock, int]:
    """The block in a record's value, unsealed if it is sealed, and the bytes of its JSON, which a seal compresses.

    Raises:
        SealError: it was sealed with another key, or is damaged; and from `key_of`. UndecodableError: it is no block.
    """
    block: Block = decode(value, Block)
    if not isinstance(block, SealedBlock):
        return block, len(value)
    return _unsealed(block, key_of(block.job_id))


def _unsealed(block: SealedBlock, key: bytes) -> tuple[RowBlock, int]:
    nonce, sealed = block.content[:_NONCE_BYTES], block.content[_NONCE_BYTES:]
    try:
        content = bytes(cramjam.lz4.decompress(AESGCM(key).decrypt(nonce, sealed, _place(block))))
        found = decode(content, PackedBlock)
    except (InvalidTag, ValueError, UndecodableError, cramjam.DecompressionError) as error:
        raise SealError(
            f"block {block.block} of job {block.job_id} was sealed with another key, or is damaged"
        ) from error
    return found, len(content)


def _place(block: RowBlock | SealedBlock) -> bytes:
    return f"{block.job_id}/{block.run}/{block.block}".encode()
