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
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cramjam
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runtime.files.shared_folder import StorageAwayError, opened_root
from schemas.ids import JOB_ID
from schemas.messages.blocks import Block, OpenBlock, PackedBlock, RowBlock, SealedBlock
from schemas.messages.codec import UndecodableError, decode, encode

FOLDER: Final = "keys"
PATIENCE_SECONDS: Final = 1.0
"""A storage that has not answered for this long is silent: nothing waits for it until it has answered."""
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_HELD: Final = 4096
"""More jobs than a worker has blocks of in memory: each of them can have its turn."""
_AT_ONCE: Final = 8
_FAST: Final = 1
"""LZ4 without its slow search: the default takes twenty times as long for a fifth less."""


class SealError(Exception):
    """A block can't be sealed or opened; the message says why. Trying again helps once the cause is removed."""


class KeyAwayError(SealError, StorageAwayError):
    """The storage gives no key for now, whether it has one or not."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question to the storage."""

    answer: Future[bytes]
    at: float
    """Seconds of the clock."""


class JobKeys:
    """The keys, a file each; the last ones used are held in memory.

    The storage is asked in threads of their own: a network file system may not answer for any time. A method that needs
    its answer waits for `patience` seconds, and not at all while an earlier question has waited longer than that. An
    answer that comes later counts the next time.
    """

    def __init__(
        self, storage_root: Path, patience: float = PATIENCE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds of any steady clock."""
        self.root = storage_root
        self._folder = storage_root / FOLDER
        self._patience = patience
        self._clock = clock
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None
        self._asked: dict[str, _Asked] = {}

    def prepare(self, job_id: str, make: bool = True) -> None:
        """Begin to find the job's key, or to make one, beside others: a disk brings many new files to rest in the time
        of one.

        `obtain`, or without `make` `find`, waits for it and answers with what went wrong.
        """
        if job_id not in self._held:
            self._ask(job_id, make)

    def ask(self, job_id: str) -> Future[bytes]:
        """As `prepare` of a key that is there; done once `find` would not wait."""
        return self._ask(job_id, make=False).answer

    def holds(self, job_id: str) -> bool:
        """Whether the key is in memory, for the next `find`."""
        return job_id in self._held

    def obtain(self, job_id: str, make: bool = True) -> bytes:
        """The job's key, made if there is none. `make`: whether one may be made; not if blocks were sealed before.

        Raises:
            KeyAwayError: the storage gives none for now.
            SealError: it is damaged, or is not there and may not be made.
        """
        held = self._held.get(job_id)
        if held is not None:
            self._held.move_to_end(job_id)
            return held
        asked = self._ask(job_id, make)
        at_once = asked.answer.done() or self._is_silent()
        try:
            key = asked.answer.result(0 if at_once else self._patience)
        except TimeoutError:
            told = f"the storage does not answer, asked for the key of job {job_id} ({self._folder})"
            raise KeyAwayError(f"{told}; see SLUICE_STORAGE") from None
        finally:
            if asked.answer.done():
                self._asked.pop(job_id, None)
        return self._hold(job_id, key)

    def find(self, job_id: str) -> bytes:
        """The job's key.

        Raises:
            KeyAwayError: the storage gives none for now.
            SealError: there is none (any more), or it is damaged.
        """
        return self.obtain(job_id, make=False)

    def remove(self, job_id: str) -> None:
        """Throw the key away, for all processes. Blocks for as long as the storage takes.

        Raises:
            StorageAwayError, OSError: it is still there.
        """
        self.forget(job_id)
        _require_id(job_id)
        with opened_root(self.root) as root, contextlib.suppress(FileNotFoundError):
            os.unlink(_place_of(job_id), dir_fd=root)

    def forget(self, job_id: str) -> None:
        """Hold it in memory no more; one that is still to be made for `prepare` is not made."""
        self._held.pop(job_id, None)
        asked = self._asked.pop(job_id, None)
        if asked is not None:
            asked.answer.cancel()

    def jobs(self) -> list[str]:
        """The jobs that have a key. Raises OSError."""
        if not self._folder.is_dir():
            return []
        return [path.name for path in self._folder.iterdir() if JOB_ID.match(path.name)]

    def _ask(self, job_id: str, make: bool) -> _Asked:
        asked = self._asked.get(job_id)
        if asked is None:
            self._pool = self._pool or ThreadPoolExecutor(_AT_ONCE, "job-keys")
            asked = self._asked[job_id] = _Asked(self._pool.submit(self._look, job_id, make), self._clock())
        return asked

    def _is_silent(self) -> bool:
        before = self._clock() - self._patience
        return any(asked.at < before and not asked.answer.done() for asked in list(self._asked.values()))

    def _look(self, job_id: str, make: bool) -> bytes:
        """The key as the storage has it, made if need be."""
        _require_id(job_id)
        try:
            with opened_root(self.root) as root:
                try:
                    return self._read(job_id, root)
                except FileNotFoundError:
                    if not make:
                        raise SealError(self._lacking(job_id)) from None
                _make(job_id, root)
                return self._read(job_id, root)
        except StorageAwayError as error:
            raise KeyAwayError(f"the key of job {job_id} can't be read: {error}") from error
        except OSError as error:
            doing = "made or read" if make else "read"
            raise KeyAwayError(
                f"the key of job {job_id} can't be {doing}: {error.strerror}; see SLUICE_STORAGE"
            ) from error

    def _lacking(self, job_id: str) -> str:
        return (
            f"the key of job {job_id} is not in storage ({self._folder}): what it sealed can't be read. Put the file "
            "back from a backup and resume the job, or roll it back and send its rows again"
        )

    def _read(self, job_id: str, root: int) -> bytes:
        descriptor = os.open(_place_of(job_id), os.O_RDONLY, dir_fd=root)
        try:
            key = os.read(descriptor, _KEY_BYTES + 1)
        finally:
            os.close(descriptor)
        if len(key) != _KEY_BYTES:
            raise SealError(f"the key of job {job_id} is damaged: it has {len(key)} bytes, not {_KEY_BYTES}")
        return key

    def _hold(self, job_id: str, key: bytes) -> bytes:
        self._held[job_id] = key
        while len(self._held) > _HELD:
            self._held.popitem(last=False)
        return key


def _require_id(job_id: str) -> None:
    if not JOB_ID.match(job_id):
        raise SealError(f"{job_id[:80]!r} is no job id")


def _place_of(job_id: str) -> str:
    return f"{FOLDER}/{job_id}"


def _make(job_id: str, root: int) -> None:
    """Make a key in the storage folder that is open as `root`. Raises OSError."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(FOLDER, mode=0o700, dir_fd=root)
    folder = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY, dir_fd=root)
    try:
        aside = f".{secrets.token_hex(8)}"
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
            try:
                os.write(descriptor, secrets.token_bytes(_KEY_BYTES))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            with contextlib.suppress(FileExistsError):  # another process was faster: its key is the one
                os.link(aside, job_id, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(aside, dir_fd=folder)
    finally:
        os.close(folder)


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
