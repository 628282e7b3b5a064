"""A header whose name is no UTF-8 costs its record its headers, and no process its way on."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from processor.stream.any_headers import AnyRecords
from runtime.topics.headers import headers_of
from tests.support.places import ROOT
from tests.support.processes.odd_headers import OddName

PLAIN, GZIP, LZ4 = 0, 1, 3
NAMES = ["some", "", "ümlaut", "x" * 300]


def batch(names: list[list[str]], first: int, codec: int) -> bytes:
    """A batch whose records have headers of these names; the first record has the offset `first`."""
    builder = _DefaultRecordBatchBuilderPy(2, codec, 0, -1, -1, 0, 1 << 20)
    for place, found in enumerate(names):
        key, value = (None, None) if place % 3 == 2 else (b"k", b"v" * place)
        builder.append(place, 1000 + 7 * place, key, value, [(name, None if name else b"x") for name in found])
    data = bytearray(builder.build())
    data[:8] = first.to_bytes(8, "big")  # what the broker does; the checksum is of what follows
    return bytes(data)


def read(data: bytes, records: Any = AnyRecords) -> list[Any]:
    """What a consumer has of these batches."""
    partition = fetcher.PartitionRecords(TopicPartition("t", 0), records(data), [], 0, None, None, True, 1)
    return list(partition)


def test_batches_are_read_as_aiokafka_reads_them() -> None:
    data = b"".join(batch([NAMES, [], ["a"]], 10 * number, codec) for number, codec in enumerate((PLAIN, GZIP, LZ4)))
    assert read(data) == read(data, MemoryRecords) != []
    assert read(data + batch([NAMES], 30, PLAIN)[:40]) == read(data)


@pytest.mark.parametrize("codec", [PLAIN, GZIP, LZ4])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_record_with_an_odd_name_is_read_without_headers_and_those_around_it_as_they_are(
    codec: int, place: int
) -> None:
    names = [NAMES, ["a"], [], ["b", "c"], ["d"]]
    odd = [[*found, OddName(), "e"] if at == place else found for at, found in enumerate(names)]
    before, after = batch(names, 0, codec), batch(names, 20, codec)
    with pytest.raises(UnicodeDecodeError):
        read(batch(odd, 10, codec), MemoryRecords)
    found = read(before + batch(odd, 10, codec) + after)
    expected = read(before + batch(names, 10, codec) + after, MemoryRecords)
    assert [(it.offset, it.timestamp, it.key, it.value) for it in found] == [
        (it.offset, it.timestamp, it.key, it.value) for it in expected
    ]
    wanted = [() if it.offset == 10 + place else tuple(it.headers) for it in expected]
    assert [tuple(it.headers) for it in found] == wanted


def test_a_damaged_batch_is_an_error_as_before() -> None:
    data = bytearray(batch([NAMES], 0, PLAIN))
    data[-1] ^= 1
    with pytest.raises(fetcher.Errors.CorruptRecordException):
        read(bytes(data))


def test_confluent_kafka_s_error_is_a_record_without_headers() -> None:
    class Message:
        def headers(self) -> Any:
            raise SystemError("returned a result with an exception set")

        def set_headers(self, headers: Any) -> None:
            self.headers = lambda: headers  # type: ignore[method-assign]

    message: Any = Message()
    assert headers_of(message) == [] == headers_of(message)


def test_headers_are_asked_for_in_one_place() -> None:
    parts = ("api", "commandline", "control", "ingest", "processor", "runtime", "verify")
    files = (file for part in parts for file in (ROOT / part).rglob("*.py"))
    asking = [file for file in files if re.search(r"\.headers\(\)", file.read_text("utf-8"))]
    assert asking == []
