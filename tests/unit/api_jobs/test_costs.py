"""What strangers may ask for costs little, however they ask: labels, pages of long rows, files that are named."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from api.elastic.answer_limit import AnswerTooLongError
from api.elastic.documents import PAGE_BYTES, Documents
from api.errors import ApiError, invalid
from api.jobs.reading.row_errors import error_page
from api.jobs.reading.row_pages import WHAT, row_pages
from api.pages.access.session import COOKIE, tokens_in
from api.readmodel.event_loop import CachedValue, time_slices
from api.uploads.import_folders import digest_of
from api.uploads.multipart import MOST_PARTS, FormReader
from tests.support.api.stub import stub


def test_made_up_methods_and_paths_share_their_labels(tmp_path: Path) -> None:
    app, _ = stub(tmp_path)
    with TestClient(app) as client:
        for number in range(50):
            client.request(f"M{number}", "/healthz")
            client.get(f"/made/up/{number}")
        text = client.get("/metrics").text
    assert 'sluice_api_requests_total{code="405",method="other",route="/healthz"} 50.0' in text
    assert 'sluice_api_requests_total{code="404",method="GET",route="none"} 50.0' in text


class LongRows:
    """An index whose rows are long, and whose answers are cut off from `most` bytes on."""

    def __init__(self, rows: int, row_bytes: int, most: int = 4 * PAGE_BYTES) -> None:
        self.rows = rows
        self.row_bytes = row_bytes
        self.most = most
        self.indices = self
        self.longest = 0

    async def refresh(self, **_: Any) -> None: ...

    async def search(self, *, size: int, search_after: list[int] | None, **_: Any) -> Any:
        after = search_after[0] if search_after else 0
        numbers = range(after + 1, min(self.rows, after + size) + 1)
        if len(numbers) * self.row_bytes > self.most:
            raise AnswerTooLongError
        self.longest = max(self.longest, len(numbers) * self.row_bytes)
        value = "x" * self.row_bytes
        hits = [{"_source": {"row": row, "columns": ["a"], "values": [value]}, "sort": [row]} for row in numbers]
        return {"hits": {"hits": hits, "total": {"value": self.rows}}}


@pytest.mark.parametrize(("rows", "row_bytes"), [(300, 250_000), (5000, 100), (3, 10), (0, 0)])
def test_pages_hold_every_row_once_and_few_bytes(rows: int, row_bytes: int) -> None:
    async def found() -> list[int]:
        pages = row_pages(Documents(cast(Any, index)), WHAT, "errors", "j1")
        return [hit["_source"]["row"] async for hits, _ in pages for hit in hits]

    index = LongRows(rows, row_bytes)
    assert asyncio.run(found()) == list(range(1, rows + 1))
    assert index.longest <= index.most


def test_a_page_of_long_rows_is_shorter_and_says_where_the_next_begins() -> None:
    async def all_rows() -> list[int]:
        found: list[int] = []
        after: int | None = None
        while True:
            index = Documents(cast(Any, LongRows(60, 250_000)))
            page = await error_page(index, "errors", "j1", 1000, after)
            assert sum(len(error.values[0]) for error in page.errors) < 5 * PAGE_BYTES
            found += [error.row for error in page.errors]
            if page.next is None:
                return found
            after = page.next

    assert asyncio.run(all_rows()) == list(range(1, 61))


def test_a_named_file_is_looked_at_before_it_is_read(tmp_path: Path) -> None:
    def look(head: bytes, whole: bool) -> None:
        assert not whole
        raise invalid("wrong header")

    file = tmp_path / "large.csv"
    with file.open("wb") as content:
        content.truncate(100 * 1024**3)
    with pytest.raises(ApiError, match="wrong header"):
        digest_of(file, look, threading.Event())
    unwanted = threading.Event()
    unwanted.set()
    with pytest.raises(ApiError):
        digest_of(file, lambda head, whole: None, unwanted)


def test_a_body_of_very_many_parts_ends_early() -> None:
    reader = FormReader(b"X")
    with pytest.raises(ApiError, match="parts"):
        reader.feed(b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * (MOST_PARTS + 1))


def test_of_the_cookies_only_our_own_are_looked_at() -> None:
    assert tokens_in(f"a=1; {COOKIE}=x.y;b;{COOKIE}=z") == ["x.y", "z"]
    assert tokens_in("") == []
    assert len(tokens_in(f"{COOKIE}=1;" * 1000)) < 10


def test_a_recent_value_is_made_once_for_all_who_ask_meanwhile() -> None:
    async def ask() -> tuple[list[int], int]:
        made = 0

        async def make() -> int:
            nonlocal made
            made += 1
            await asyncio.sleep(0)
            return made

        value = CachedValue(make)
        return await asyncio.gather(*(value.get() for _ in range(100))), made

    answers, made = asyncio.run(ask())
    assert answers == [1] * 100
    assert made == 1


def test_slices_hold_everything_in_order_and_let_others_go_on() -> None:
    async def run() -> tuple[list[int], int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        found = [item async for some in time_slices(range(100), 7) for item in some]
        beside.cancel()
        return found, turns

    found, turns = asyncio.run(run())
    assert found == list(range(100))
    assert turns >= 14
