"""What a storage promises, on a folder and on an S3 server alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from runtime.files.shared_folder import mark
from runtime.files.storage import Storage, StorageError, open_storage
from runtime.settings import Settings
from tests.support.waiting import PATIENCE

MEGABYTE = 1024 * 1024


@pytest.fixture(scope="module")
def bucket() -> Iterator[Settings]:
    """Settings that name a bucket of a local S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = Settings(
        storage_url="s3://exports/some/folder",
        s3_endpoint=f"http://{host}:{port}",
        s3_region="us-east-1",
        s3_access_key_id="key",
        s3_secret_access_key=SecretStr("secret"),
        request_timeout_seconds=PATIENCE,
    )
    boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint,
        region_name=settings.s3_region,
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ).create_bucket(Bucket="exports")
    yield settings
    server.stop()


def mounted(home: Path) -> Settings:
    """Settings of an installation with this home, whose storage is there."""
    found = Settings(home=home)
    found.storage_root.mkdir()
    mark(found.storage_root)
    return found


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(mounted(tmp_path))
    return open_storage(request.getfixturevalue("bucket"))


async def pieces(*sizes: int, error: Exception | None = None) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([65 + number % 26]) * size
    if error is not None:
        raise error


async def content(storage: Storage, path: str, *part: int) -> bytes:
    return b"".join([chunk async for chunk in storage.read(path, *part)])


def test_a_file_is_written_read_and_removed(storage: Storage) -> None:
    async def story() -> None:
        assert await storage.find("parts/j1/1.csv") is None
        await storage.put("parts/j1/1.csv", b"0123456789")
        await storage.put("parts/j1/2.csv", b"")
        found = await storage.find("parts/j1/1.csv")
        assert found is not None
        assert (found.size, found.etag[0], found.etag[-1]) == (10, '"', '"')
        assert await content(storage, "parts/j1/1.csv") == b"0123456789"
        assert await content(storage, "parts/j1/1.csv", 2, 5) == b"234"
        assert await content(storage, "parts/j1/2.csv") == b""
        await storage.put("parts/j1/1.csv", b"again")
        assert await content(storage, "parts/j1/1.csv") == b"again"
        changed = await storage.find("parts/j1/1.csv")
        assert changed is not None
        assert changed.etag != found.etag
        assert sorted(await storage.paths("parts/j1/")) == ["parts/j1/1.csv", "parts/j1/2.csv"]
        assert await storage.paths("parts/j/") == []
        await storage.put("results/j1.csv", b"x")
        await storage.remove(["results/j1.csv", "results/never.csv"], "parts/j1/")
        assert await storage.paths("parts/j1/") == []
        assert await storage.find("results/j1.csv") is None
        await storage.remove(["results/j1.csv"], "parts/j1/")

    asyncio.run(story())


def test_a_file_that_is_not_there_is_told(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(content(storage, "parts/j2/1.csv"))


@pytest.mark.parametrize("sizes", [(3,), (), (MEGABYTE,) * 20])
def test_a_large_file_is_published_piece_by_piece(storage: Storage, sizes: tuple[int, ...]) -> None:
    async def story() -> None:
        await storage.publish("results/j3.csv", pieces(*sizes), "parts/j3/joined")
        found = await storage.find("results/j3.csv")
        assert found is not None
        assert found.size == sum(sizes)
        expected = b"".join([piece async for piece in pieces(*sizes)])
        assert await content(storage, "results/j3.csv") == expected
        if expected:
            assert await content(storage, "results/j3.csv", found.size - 2, found.size) == expected[-2:]
        assert await storage.paths("parts/j3/") == []
        await storage.remove(["results/j3.csv"])

    asyncio.run(story())


@pytest.mark.parametrize("sizes", [(3,), (MEGABYTE,) * 20])
def test_a_file_that_breaks_off_is_not_there(storage: Storage, sizes: tuple[int, ...]) -> None:
    async def story() -> None:
        with pytest.raises(RuntimeError, match="enough"):
            await storage.publish("results/j4.csv", pieces(*sizes, error=RuntimeError("enough")), "parts/j4/joined")
        assert await storage.find("results/j4.csv") is None
        assert await storage.paths("results/") == []
        assert await storage.paths("parts/j4/") == []

    asyncio.run(story())


def test_what_a_dead_process_left_in_a_folder_is_removed_as_well(tmp_path: Path) -> None:
    storage = open_storage(mounted(tmp_path))
    folder = tmp_path / "storage" / "parts" / "j5"
    folder.mkdir(parents=True)
    (folder / "00000001.csv#1").write_bytes(b"half")
    asyncio.run(storage.remove(folder="parts/j5/"))
    assert not folder.exists()


def test_a_storage_that_does_not_answer_is_told_in_words(bucket: Settings, tmp_path: Path) -> None:
    wrong = bucket.model_copy(update={"storage_url": "s3://no-such-bucket"})
    with pytest.raises(StorageError, match=r"the storage can't write parts/j6/1\.csv: .*[Bb]ucket"):
        asyncio.run(open_storage(wrong).put("parts/j6/1.csv", b"x"))
    with pytest.raises(StorageError, match="s3://bucket"):
        open_storage(Settings(storage_url="ftp://somewhere"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="can't use the folder"):
        open_storage(Settings(storage=tmp_path / "file" / "storage"))
