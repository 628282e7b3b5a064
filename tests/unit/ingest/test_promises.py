"""A file is the one that its job was made with: whatever is done to it, its rows come of those bytes or it fails."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from api.errors import ApiError
from api.uploads.import_folders import Seen, digest_of
from api.uploads.spool import SpooledFile
from csvfile.cutter import Limits
from ingest.block_source import Step
from ingest.blocks import files
from ingest.blocks.files import Roots
from ingest.errors import SourceError
from ingest.sources import SourceContext, block_source
from runtime.datasets import load_datasets
from runtime.files.shared_folder import mark
from schemas.job import Input, Source
from schemas.messages.blocks import RowBlock
from schemas.messages.codec import decode, encode
from schemas.messages.plans import ReadFile

DATASETS = load_datasets()
HEADER = ",".join(DATASETS["people"].columns)
ROWS = 60_000
FIRST = "\n".join([HEADER, *[f"A{n:06},b,c,d,e,f" for n in range(ROWS)], ""]).encode()
SECOND = FIRST.replace(b"A0", b"B0")  # another file of the same size
LAST = FIRST[:-20] + b"X" + FIRST[-19:]  # another one, whose difference is at its end

Do = Callable[[Path], None]


def rewrite(data: bytes) -> Do:
    return lambda path: overwrite(path, data)


def overwrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data)


def rewrite_and_set_its_time_back(path: Path) -> None:
    before = path.stat()
    overwrite(path, SECOND)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def move_in(data: bytes) -> Do:
    def do(path: Path) -> None:
        other = path.with_name("other")
        other.write_bytes(data)
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)

    return do


def link_to(data: bytes) -> Do:
    def do(path: Path) -> None:
        other = path.with_name("other")
        other.write_bytes(data)
        path.unlink()
        path.symlink_to(other)

    return do


def link_twice(path: Path) -> None:
    path.with_name("link").hardlink_to(path)


SAME_BYTES: dict[str, Do] = {
    "nothing": lambda path: None,
    "a copy restored": move_in(FIRST),
    "rewritten with the same bytes": rewrite(FIRST),
    "chmod": lambda path: path.chmod(0o600),
    "touch": lambda path: path.touch(),
    "a second name": link_twice,
    "there and back": lambda path: (rewrite(SECOND)(path), rewrite(FIRST)(path))[0],
    "a link to a copy": link_to(FIRST),
}
OTHER_BYTES: dict[str, Do] = {
    "rewritten": rewrite(SECOND),
    "rewritten, its time set back": rewrite_and_set_its_time_back,
    "another moved into its place": move_in(SECOND),
    "another at its end": move_in(LAST),
    "a link to another": link_to(SECOND),
    "shorter": lambda path: os.truncate(path, len(FIRST) - 15),
    "longer": lambda path: overwrite(path, FIRST + b"more,b,c,d,e,f\n"),
    "empty": lambda path: os.truncate(path, 0),
}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A file that was spooled, as its job has it."""
    mark(tmp_path)
    spooled = SpooledFile(tmp_path, "j", "a.csv")
    spooled.write(FIRST)
    spooled.close()
    kept = spooled.keep()
    # What comes must be a later change by the file system's clock, which ticks every few milliseconds.
    until_ticked(tmp_path / str(kept.path), tmp_path / "probe")
    return kept


def until_ticked(file: Path, probe: Path) -> None:
    """Wait until what is written now has a later time than `file`."""
    while True:
        probe.touch()
        if probe.stat().st_ctime_ns > file.stat().st_ctime_ns:
            probe.unlink()
            return


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each piece that is read to compare SHA-256."""
    seen: list[int] = []
    pread = os.pread
    monkeypatch.setattr(files.os, "pread", lambda file, size, at: (seen.append(at), pread(file, size, at))[1])
    return seen


def around(folder: Path) -> SourceContext:
    return SourceContext(DATASETS, Roots(folder), Limits(1000, 65536))


def steps(source: Source, surroundings: SourceContext, start: Input | None = None) -> Iterator[Step | None]:
    plan = ReadFile(job_id="j", epoch=0, command_offset=0, partitions=4, dataset="people", source=source)
    for step in block_source(plan, start or Input(), surroundings):
        assert step is None or isinstance(step, Step)
        yield step


def names(found: list[Step]) -> bytes:
    """The first letters of the rows in these blocks, each once."""
    rows = [row for step in found for row in decode(encode(step.block), RowBlock).rows]
    assert [row[0][1:] for row in rows] == [f"{n:06}" for n in range(len(rows))]
    return bytes(sorted({ord(row[0][0]) for row in rows}))


@pytest.mark.parametrize("known", ["identity", "sha256"])
@pytest.mark.parametrize("what", SAME_BYTES)
def test_the_same_bytes_are_read_whatever_was_done_to_the_file(
    tmp_path: Path, source: Source, what: str, known: str, hashed: list[int]
) -> None:
    if known == "sha256":
        source = replace(source, identity=None)
    SAME_BYTES[what](tmp_path / str(source.path))
    surroundings = around(tmp_path)
    found = [step for step in steps(source, surroundings) if step]
    assert names(found) == b"A" and found[-1].after.rows == ROWS
    if what == "nothing" and known == "identity":
        assert hashed == [], "nothing is read twice for a file that nobody has touched"
    hashed.clear()
    assert [step for step in steps(source, surroundings, found[0].after) if step]
    assert hashed == [], "what was found out once is known when the job is resumed"


@pytest.mark.parametrize("known", ["identity", "sha256"])
@pytest.mark.parametrize("what", OTHER_BYTES)
def test_another_file_fails_before_a_row_of_it_is_read(tmp_path: Path, source: Source, what: str, known: str) -> None:
    if known == "sha256":
        source = replace(source, identity=None)
    OTHER_BYTES[what](tmp_path / str(source.path))
    found: list[Step] = []
    with pytest.raises(SourceError, match="is not the one that the job was made with"):
        found += [step for step in steps(source, around(tmp_path)) if step]
    assert found == []


@pytest.mark.parametrize("what", [what for what in SAME_BYTES if what != "nothing"])
@pytest.mark.parametrize("at", [1, 20, 59])
def test_a_file_touched_while_it_is_read_gives_the_rows_it_had(
    tmp_path: Path, source: Source, what: str, at: int
) -> None:
    found: list[Step] = []
    for step in steps(source, around(tmp_path)):
        if step:
            found.append(step)
            if len(found) == at:
                SAME_BYTES[what](tmp_path / str(source.path))
    assert names(found) == b"A" and found[-1].after.rows == ROWS


@pytest.mark.parametrize("what", [what for what in OTHER_BYTES if "moved" not in what and "link" not in what])
@pytest.mark.parametrize("at", [1, 20])
def test_a_file_written_while_it_is_read_fails_and_no_row_of_the_other_comes(
    tmp_path: Path, source: Source, what: str, at: int
) -> None:
    if what == "another at its end":
        OTHER_BYTES[what] = rewrite(LAST)
    found: list[Step] = []
    with pytest.raises(SourceError, match=r"has changed while it was read.* rows read before stay") as refused:
        for step in steps(source, around(tmp_path)):
            if step:
                found.append(step)
                if len(found) == at:
                    OTHER_BYTES[what](tmp_path / str(source.path))
    assert names(found) == b"A"
    assert f"The {found[-1].after.rows:,} rows" in str(refused.value)


@pytest.mark.parametrize("what", ["another moved into its place", "a link to another"])
def test_a_file_that_is_open_is_read_to_its_end_when_its_name_goes_to_another(
    tmp_path: Path, source: Source, what: str
) -> None:
    found = []
    for step in steps(source, around(tmp_path)):
        if step:
            found.append(step)
            if len(found) == 1:
                OTHER_BYTES[what](tmp_path / str(source.path))
    assert names(found) == b"A" and found[-1].after.rows == ROWS


def test_a_file_touched_without_an_end_fails(tmp_path: Path, source: Source) -> None:
    with pytest.raises(SourceError, match=r"again and again|while it is looked at"):
        for _ in steps(source, around(tmp_path)):
            (tmp_path / str(source.path)).touch()


def test_where_nothing_was_promised_nothing_is_compared(tmp_path: Path, source: Source, hashed: list[int]) -> None:
    bare = Source(path=source.path)
    move_in(SECOND)(tmp_path / str(source.path))
    assert names([step for step in steps(bare, around(tmp_path)) if step]) == b"B"
    assert hashed == []


def test_the_comparison_lets_other_plans_go_on(tmp_path: Path, source: Source) -> None:
    move_in(FIRST)(tmp_path / str(source.path))
    pieces = len(FIRST) / files._HASH_BYTES
    turns = list(steps(source, around(tmp_path)))
    assert turns[: int(pieces)] == [None] * int(pieces)


def test_a_record_from_before_reads_as_one_without_identity() -> None:
    assert decode(b'{"kind":"file","path":"a","bytes":3,"sha256":"00"}', Source).identity is None


def test_a_server_file_that_is_written_while_it_is_hashed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(FIRST)
    digest, found = digest_of(path, lambda _head, _whole: Seen(), threading.Event())
    assert (found.bytes, found.sha256) == (len(FIRST), hashlib.sha256(FIRST).hexdigest())
    assert found.identity is not None and found.identity.inode == path.stat().st_ino
    for change in (rewrite(SECOND), rewrite_and_set_its_time_back, lambda path: overwrite(path, FIRST + b"x" * 9)):
        path.write_bytes(FIRST)
        update = type(digest).update
        left = [change]

        def meddle(self: object, data: bytes, left: list[Do] = left, update: Callable[..., None] = update) -> None:
            update(self, data)
            if left:
                left.pop()(path)

        with monkeypatch.context() as patch:
            patch.setattr(type(digest), "update", meddle)
            with pytest.raises(ApiError, match="has changed while it was read") as refused:
                digest_of(path, lambda _head, _whole: Seen(), threading.Event())
            assert refused.value.code == 409
