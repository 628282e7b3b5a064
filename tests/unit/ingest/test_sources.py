"""Headers, where files may lie, and what becomes of a plan."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from csvfile.cutter import Limits
from ingest.blocks.files import Roots, locate, open_source
from ingest.errors import SourceError
from ingest.sources import SourceContext, Step, block_source
from runtime.datasets import load_datasets
from runtime.files.shared_folder import mark
from schemas.job import Input, Source
from schemas.messages.blocks import RowBlock, UndoBlock
from schemas.messages.codec import decode, encode
from schemas.messages.plans import ReadFile, UndoRows

PEOPLE = load_datasets()["people"]
COLUMNS = PEOPLE.columns
HEADER = ",".join(COLUMNS).encode()


def around(folder: Path, rows: int = 2, size: int = 4096) -> SourceContext:
    return SourceContext(load_datasets(), Roots(folder, (folder / "import",)), Limits(rows, size))


def read_plan(path: str, size: int | None = None, dataset: str = "people") -> ReadFile:
    source = Source(path=path, bytes=size)
    return ReadFile(job_id="j", epoch=0, command_offset=0, partitions=8, dataset=dataset, source=source)


def test_files_are_found_below_the_storage_root_and_in_import_folders(tmp_path: Path) -> None:
    storage, imports = tmp_path / "storage", tmp_path / "import"
    for folder in (storage, imports):
        folder.mkdir()
        (folder / "a.csv").write_bytes(b"x")
    roots = Roots(storage, (imports,))
    assert locate("a.csv", roots) == storage / "a.csv"
    assert locate(str(imports / "a.csv"), roots) == imports / "a.csv"


@pytest.mark.parametrize("name", ["../secret", "link", "/etc/passwd", "folder/../../secret", "import-link/../secret"])
def test_files_outside_are_refused(tmp_path: Path, name: str) -> None:
    storage = tmp_path / "storage"
    (storage / "folder").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    (storage / "link").symlink_to(tmp_path / "secret")
    (storage / "import-link").symlink_to(tmp_path / "other")
    with pytest.raises(SourceError, match="outside the folders"):
        locate(name, Roots(storage, (tmp_path / "other",)))


@pytest.mark.parametrize("name", [None, "", "missing.csv", "a\0b", "file/below"])
def test_files_that_are_not_there(tmp_path: Path, name: str | None) -> None:
    mark(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(SourceError):
        locate(name, Roots(tmp_path))


def test_only_plain_files_of_the_expected_size_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"12345")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="has 5 bytes, 6 were expected"):
        open_source(Source(path="a.csv", bytes=6), Roots(tmp_path))
    for name in ("folder", "pipe"):
        with pytest.raises(SourceError, match="is not a file"):
            open_source(Source(path=name), Roots(tmp_path))


def test_a_file_becomes_blocks_that_the_codec_reads(tmp_path: Path) -> None:
    data = HEADER + b'\nA,b,c,d,e,f\n\n"A\nB",b,c,d,e,f\nlast\n'
    (tmp_path / "a.csv").write_bytes(data)
    source = block_source(read_plan("a.csv", len(data)), Input(), around(tmp_path))
    steps: list[Step] = []
    while True:
        try:
            step = next(source)
        except StopIteration as end:
            assert end.value == Input(blocks=2, rows=3, bytes=len(data), lines=6)
            break
        if step:
            steps.append(step)
    first, second = (decode(encode(step.block), RowBlock) for step in steps)
    assert first == RowBlock(
        job_id="j", block=0, first_row=1, columns=list(COLUMNS),
        rows=[["A", "b", "c", "d", "e", "f"], ["A\nB", "b", "c", "d", "e", "f"]], first_line=2, lines=[2, 4],
    )  # fmt: skip
    assert (second.block, second.first_row, second.rows, second.first_line) == (1, 3, [["last"]], 6)
    again = list(block_source(read_plan("a.csv"), steps[0].after, around(tmp_path)))
    assert [encode(step.block) for step in again if step] == [encode(steps[1].block)]


def test_a_file_that_changes_while_it_is_read_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER + b"\n" + b"a,b,c,d,e,f\n" * 100_000)
    source = block_source(read_plan("a.csv"), Input(), around(tmp_path))
    next(source)
    with path.open("ab") as file:
        file.write(b"more\n")
    with pytest.raises(SourceError, match="has changed while it was read"):
        list(source)


def test_a_file_without_rows_makes_no_block(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(HEADER)
    assert list(block_source(read_plan("a.csv"), Input(), around(tmp_path))) == []


def test_an_unknown_dataset_fails(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'nope' is not known"):
        next(block_source(read_plan("a.csv", dataset="nope"), Input(), around(tmp_path)))


@pytest.mark.parametrize("last_row", [0, 1, 2500, 2501, 7777])
def test_undo_ranges_cover_each_row_once_from_any_checkpoint(tmp_path: Path, last_row: int) -> None:
    plan = UndoRows(job_id="j", epoch=0, command_offset=0, partitions=8, last_row=last_row)
    steps = [step for step in block_source(plan, Input(), around(tmp_path)) if step]
    blocks = [step.block for step in steps if isinstance(step.block, UndoBlock)]
    assert [row for b in blocks for row in range(b.first_row, b.last_row + 1)] == list(range(1, last_row + 1))
    for index, step in enumerate(steps):
        assert list(block_source(plan, step.after, around(tmp_path))) == steps[index + 1 :]
