"""Blocks that only their job's key opens, and the keys."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from runtime.files.sealing import JobKeys, SealError, opened, seal
from schemas.messages.blocks import Block, BlockHead, RowBlock, SealedBlock
from schemas.messages.codec import decode, encode

BLOCK = RowBlock(job_id="j1", block=3, first_row=31, columns=["name"], rows=[["sentinel"]] * 50, first_line=32)
KEY = bytes(range(32))


def test_a_sealed_block_shows_its_place_and_nothing_of_its_rows() -> None:
    value = encode(seal(BLOCK, KEY))
    assert b"sentinel" not in value and b"name" not in value
    head = decode(value, BlockHead)
    assert (head.kind, head.job_id, head.block, head.first_row, head.run) == ("sealed", "j1", 3, 31, 0)
    assert isinstance(decode(value, Block), SealedBlock)
    block, size = opened(value, lambda _: KEY)
    assert encode(block) == encode(BLOCK) and size >= len(encode(BLOCK))


def test_a_block_that_is_published_again_is_the_same_bytes() -> None:
    assert encode(seal(BLOCK, KEY)) == encode(seal(BLOCK, KEY))
    assert seal(BLOCK, KEY).content[:12] != seal(replace(BLOCK, rows=[["other"]]), KEY).content[:12]


@pytest.mark.parametrize(
    "block",
    [
        replace(seal(BLOCK, KEY), block=4),
        replace(seal(BLOCK, KEY), run=1),
        replace(seal(BLOCK, KEY), job_id="j2"),
        replace(seal(BLOCK, KEY), content=seal(BLOCK, KEY).content[:-1] + b"x"),
        replace(seal(BLOCK, KEY), content=b""),
        seal(BLOCK, bytes(32)),
    ],
    ids=["another block", "another run", "another job", "changed", "empty", "another key"],
)
def test_what_was_not_sealed_so_is_not_opened(block: SealedBlock) -> None:
    with pytest.raises(SealError, match="another key, or is damaged"):
        opened(encode(block), lambda _: KEY)


def test_a_key_is_made_once_for_all_processes_and_is_its_users_alone(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(JobKeys(tmp_path).obtain("j1"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found)), len(found[0])) == (8, 1, 32)
    (file,) = (tmp_path / "keys").iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("j1", 0o600)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert JobKeys(tmp_path).find("j1") == found[0]


def test_a_key_that_is_thrown_away_is_gone_and_one_that_is_damaged_is_told(tmp_path: Path) -> None:
    keys = JobKeys(tmp_path)
    keys.obtain("j1")
    assert keys.jobs() == ["j1"]
    keys.remove("j1")
    keys.remove("j1")
    with pytest.raises(SealError, match="not in storage"):
        keys.find("j1")
    (tmp_path / "keys" / "j2").write_bytes(b"short")
    with pytest.raises(SealError, match="damaged"):
        keys.obtain("j2")
    with pytest.raises(SealError, match="no job id"):
        keys.obtain("../j1")
    (tmp_path / "file").touch()
    with pytest.raises(SealError, match="SLUICE_STORAGE"):
        JobKeys(tmp_path / "file").obtain("j1")


def test_keys_that_are_prepared_are_the_ones_that_others_find(tmp_path: Path) -> None:
    keys, other = JobKeys(tmp_path), JobKeys(tmp_path)
    jobs = [f"job{number}" for number in range(20)]
    known = other.obtain(jobs[3])
    for job_id in [*jobs, *jobs]:
        keys.prepare(job_id)
    assert [keys.obtain(job_id) for job_id in jobs] == [other.find(job_id) for job_id in jobs]
    assert keys.obtain(jobs[3]) == known


def test_a_key_that_could_not_be_prepared_is_tried_again(tmp_path: Path) -> None:
    keys = JobKeys(tmp_path)
    (tmp_path / "keys").write_text("a file in the place of the folder")
    keys.prepare("job1")
    with pytest.raises(SealError, match="job1"):
        keys.obtain("job1")
    (tmp_path / "keys").unlink()
    assert keys.obtain("job1") == JobKeys(tmp_path).find("job1")
