"""Blocks that only their job's key opens, and the keys."""

from __future__ import annotations

import shutil
import stat
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from runtime.files.sealing import JobKeys, KeyAwayError, SealError, opened, seal
from runtime.files.shared_folder import StorageAwayError, mark
from schemas.messages.blocks import Block, BlockHead, RowBlock, SealedBlock
from schemas.messages.codec import decode, encode
from tests.support.waiting import PATIENCE

BLOCK = RowBlock(job_id="j1", block=3, first_row=31, columns=["name"], rows=[["sentinel"]] * 50, first_line=32)
KEY = bytes(range(32))


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """The folder of an installation that has no key yet."""
    mark(tmp_path)
    return tmp_path


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


def test_a_key_is_made_once_for_all_processes_and_is_its_users_alone(storage: Path) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(JobKeys(storage).obtain("j1"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found)), len(found[0])) == (8, 1, 32)
    (file,) = (storage / "keys").iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("j1", 0o600)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert JobKeys(storage).find("j1") == found[0]


def test_a_key_that_is_thrown_away_is_gone_and_one_that_is_damaged_is_told(storage: Path) -> None:
    keys = JobKeys(storage)
    keys.obtain("j1")
    assert keys.jobs() == ["j1"]
    keys.remove("j1")
    keys.remove("j1")
    with pytest.raises(SealError, match="not in storage"):
        keys.find("j1")
    (storage / "keys" / "j2").write_bytes(b"short")
    with pytest.raises(SealError, match="damaged"):
        keys.obtain("j2")
    with pytest.raises(SealError, match="no job id"):
        keys.obtain("../j1")
    (storage / "file").touch()
    with pytest.raises(KeyAwayError, match="SLUICE_STORAGE"):
        JobKeys(storage / "file").obtain("j1")


def test_keys_that_are_prepared_are_the_ones_that_others_find(storage: Path) -> None:
    keys, other = JobKeys(storage), JobKeys(storage)
    jobs = [f"job{number}" for number in range(20)]
    known = other.obtain(jobs[3])
    for job_id in [*jobs, *jobs]:
        keys.prepare(job_id)
    assert [keys.obtain(job_id) for job_id in jobs] == [other.find(job_id) for job_id in jobs]
    assert keys.obtain(jobs[3]) == known


def test_a_key_that_could_not_be_prepared_is_tried_again(storage: Path) -> None:
    keys = JobKeys(storage)
    (storage / "keys").write_text("a file in the place of the folder")
    keys.prepare("job1")
    with pytest.raises(SealError, match="job1"):
        keys.obtain("job1")
    (storage / "keys").unlink()
    assert keys.obtain("job1") == JobKeys(storage).find("job1")


@pytest.mark.parametrize("gone", ["the folder", "what is in it"])
def test_no_key_is_made_where_the_storage_is_not_mounted(storage: Path, gone: str) -> None:
    """A mount point without its storage is an empty folder. A key made there would seal blocks that no worker
    can open once the storage is back."""
    key, away = JobKeys(storage).obtain("j1"), storage.with_name("away")
    storage.rename(away)
    if gone == "what is in it":
        storage.mkdir()
    keys = JobKeys(storage)
    for ask in (keys.obtain, keys.find, keys.remove):
        for job_id in ("j1", "j2"):
            with pytest.raises(StorageAwayError, match=r"mount it|can't be opened"):
                ask(job_id)
    assert not storage.exists() or not list(storage.iterdir())
    shutil.rmtree(storage, ignore_errors=True)
    away.rename(storage)
    assert keys.obtain("j1") == key and keys.obtain("j2") == JobKeys(storage).find("j2")


def test_a_job_with_blocks_gets_no_second_key(storage: Path) -> None:
    """As after a restore without the keys: the storage is the installation's, and lacks what sealed the blocks."""
    with pytest.raises(SealError, match="roll it back") as told:
        JobKeys(storage).obtain("j1", make=False)
    assert not isinstance(told.value, KeyAwayError), "waiting does not help"
    assert JobKeys(storage).jobs() == []


def test_the_first_key_of_an_installation_is_made(storage: Path) -> None:
    assert JobKeys(storage).obtain("j1") == JobKeys(storage).find("j1")


class Hanging:
    """A network file system that does not answer until it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers = threading.Event()
        self.asked: list[str] = []
        read = JobKeys._look

        def look(keys: JobKeys, job_id: str, make: bool) -> bytes:
            self.asked.append(job_id)
            assert self.answers.wait(PATIENCE)
            return read(keys, job_id, make)

        monkeypatch.setattr(JobKeys, "_look", look)


def test_a_storage_that_hangs_is_waited_for_once_and_its_answer_counts(
    storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = JobKeys(storage).obtain("j0")
    now, patience = [100.0], 0.01
    keys = JobKeys(storage, patience, lambda: now[0])
    assert keys.obtain("j0") == held
    hanging = Hanging(monkeypatch)
    with pytest.raises(KeyAwayError, match="does not answer, asked for the key of job j1"):
        keys.obtain("j1")
    keys._patience = PATIENCE  # a second wait would show
    now[0] += PATIENCE + 1
    with pytest.raises(KeyAwayError, match="does not answer"):
        keys.obtain("j2")
    with pytest.raises(KeyAwayError, match="job j1"):
        keys.obtain("j1")
    assert keys.obtain("j0") == held, "what is in memory needs no storage"
    hanging.answers.set()
    found = {job_id: keys.ask(job_id).result(PATIENCE) for job_id in ("j1", "j2")}
    assert {job_id: keys.obtain(job_id) for job_id in found} == found and sorted(hanging.asked) == ["j1", "j2"]
