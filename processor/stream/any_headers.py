"""Records with a header whose name is no UTF-8 are read as records without headers.

A program in another language may write such a name. aiokafka raises an error of it, loses the records that it has read
before it in the same call, and meets it again with the next one: one record would stop every worker for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

_LENGTH_AT, _LENGTH_END = 8, 12
"""Where a batch says how many bytes follow its length: https://kafka.apache.org/documentation/#recordbatch."""


def read_any_headers() -> None:
    """Let all of aiokafka's consumers in this process read such records."""
    fetcher.MemoryRecords = AnyRecords


class AnyRecords:
    """aiokafka's `MemoryRecords`: the batches of one answer to a fetch."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._records = MemoryRecords(data)
        self._begin = 0

    def size_in_bytes(self) -> int:
        """Bytes of all batches, one that is cut off at the end included."""
        return int(self._records.size_in_bytes())

    def has_next(self) -> bool:
        """Whether there is another whole batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> _AnyBatch | None:
        """The next batch; None: there is none."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        length = int.from_bytes(self._data[self._begin + _LENGTH_AT : self._begin + _LENGTH_END], "big")
        begin, self._begin = self._begin, self._begin + _LENGTH_END + length
        return _AnyBatch(batch, self._data, begin, self._begin)


class _AnyBatch:
    """A batch of aiokafka's, whose records can be iterated whatever the names of their headers are."""

    def __init__(self, batch: Any, data: bytes, begin: int, end: int) -> None:
        self._batch = batch
        self._data, self._begin, self._end = data, begin, end

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._batch:
                read += 1
                yield record
        except (UnicodeDecodeError, CorruptRecordException) as error:
            if not isinstance(error.__cause__ or error, UnicodeDecodeError):
                raise
            yield from list(_records(self._data[self._begin : self._end]))[read:]


@dataclass(frozen=True, slots=True)
class _Record:
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    checksum: None = None


def _records(data: bytes) -> Iterator[_Record]:
    """The records of one batch; `data` are its bytes."""
    batch = _DefaultRecordBatchPy(data)
    batch._maybe_uncompress()
    buffer, at = batch._buffer, batch._pos
    for _ in range(batch._num_records):
        length, at = decode_varint(buffer, at)
        end = at + length
        later, at = decode_varint(buffer, at + 1)  # a byte of attributes stands before it
        further, at = decode_varint(buffer, at)
        key, at = _bytes(buffer, at)
        value, at = _bytes(buffer, at)
        timestamp = batch.max_timestamp if batch.timestamp_type else batch.first_timestamp + later
        headers = _headers(buffer, at)
        yield _Record(batch.base_offset + further, timestamp, batch.timestamp_type, key, value, headers)
        at = end


def _bytes(buffer: bytearray, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(buffer, at)
    return (None, at) if length < 0 else (bytes(buffer[at : at + length]), at + length)


def _headers(buffer: bytearray, at: int) -> list[tuple[str, bytes | None]]:
    found = []
    count, at = decode_varint(buffer, at)
    for _ in range(count):
        name, at = _bytes(buffer, at)
        value, at = _bytes(buffer, at)
        try:
            found.append(((name or b"").decode(), value))
        except UnicodeDecodeError:
            return []
    return found
