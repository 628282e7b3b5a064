"""The keys of an OpenID provider while it does not answer: who waits for them, and how often it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import httpx2
import pytest
from joserfc.jwk import RSAKey

from api.errors import ApiError, unavailable
from api.principals.oidc import provider
from api.principals.oidc.provider_keys import ProviderKeys
from runtime.clock import Clock
from runtime.settings import Settings

T = TypeVar("T")
OLD, NEW = (
    {"keys": [RSAKey.generate_key(2048, {"kid": kid, "use": "sig"}).as_dict(private=False)]} for kid in ("old", "new")
)


class Hanging:
    """A provider whose answers come when the test lets them, and a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.slept: list[float] = []
        self.answer: asyncio.Future[Any] = asyncio.Future()
        self.answer.set_result(OLD)
        self.keys = ProviderKeys(
            self.read, lambda what, error: None, Clock(monotonic=lambda: self.now, sleep=self.sleep)
        )

    def hang(self) -> None:
        self.answer = asyncio.Future()

    def fail(self) -> None:
        self.answer.set_exception(unavailable("it does not answer"))

    async def read(self) -> Any:
        self.asked += 1
        return await self.answer

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def kid(self, **more: bool) -> str | None:
        """The id of the one key that there is; None: the keys can't be had."""
        try:
            return (await self.keys.get(**more)).keys[0].kid
        except ApiError as error:
            assert error.code == 503
            return None

    async def kids(self, count: int = 12) -> set[str | None]:
        """The same, for so many requests at once."""
        return set(await asyncio.gather(*(self.kid() for _ in range(count))))


async def until_idle() -> None:
    """Let every task go on that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(test: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(test)


@pytest.mark.parametrize("age", [0, 590, 601, 3500])
def test_a_provider_that_hangs_holds_nobody_up_while_the_keys_can_be_used(age: float) -> None:
    async def test() -> None:
        there = Hanging()
        assert await there.kid() == "old"
        there.hang()
        there.now += age
        assert await there.kids() == {"old"}
        assert there.asked == (2 if age > 600 else 1)
        assert all(0 < seconds <= 1 for seconds in there.slept)
        there.slept.clear()
        there.now += 5  # later in the same attempt
        assert await there.kids() == {"old"} and not there.slept
        there.keys.close()

    run(test())


@pytest.mark.parametrize("age", [601, 3700])
def test_after_an_attempt_that_has_failed_the_provider_is_left_alone_for_a_while(age: float) -> None:
    async def test() -> None:
        there = Hanging()
        assert await there.kid() == "old"
        there.hang()
        there.now += age
        waiting = asyncio.gather(*(there.kid() for _ in range(12)))
        await until_idle()
        there.now += 10  # the attempt takes that long
        there.fail()
        usable = "old" if age < 3600 else None
        assert (set(await waiting), there.asked) == ({usable}, 2)
        await until_idle()
        there.now += 9
        assert (await there.kids(), there.asked) == ({usable}, 2)
        there.now += 1
        assert (await there.kids(), there.asked) == ({usable}, 3)

    run(test())


def test_those_who_need_the_keys_share_one_attempt_and_one_that_gives_up_ends_it_for_nobody() -> None:
    async def test() -> None:
        there = Hanging()
        there.hang()
        waiting = [asyncio.create_task(there.kid()) for _ in range(5)]
        await until_idle()
        waiting[0].cancel()
        await until_idle()
        there.answer.set_result(NEW)
        assert await asyncio.gather(*waiting[1:]) == ["new"] * 4
        assert there.asked == 1

    run(test())


def test_a_key_that_is_withdrawn_ends_after_ten_minutes_if_the_provider_answers() -> None:
    async def test() -> None:
        there = Hanging()
        assert await there.kid() == "old"
        there.hang()
        there.answer.set_result(NEW)
        there.now += 600
        assert await there.kids() == {"new"}

    run(test())


def test_a_token_that_names_an_unknown_key_holds_up_no_other() -> None:
    async def test() -> None:
        there = Hanging()
        assert await there.kid() == "old"
        there.hang()
        there.now += 30
        unknown = asyncio.create_task(there.kid(anew=True))
        await until_idle()
        assert await there.kids() == {"old"} and not there.slept and not unknown.done()
        there.answer.set_result(NEW)
        assert await unknown == "new"
        assert (await there.kid(anew=True), there.asked) == ("new", 2), "it was asked a moment ago"

    run(test())


@pytest.mark.parametrize("odd", [None, 5, {}, {"keys": [{"kty": "none"}]}, {"keys": 5}, {"keys": [[]]}])
def test_keys_that_can_not_be_read_leave_the_old_ones(odd: Any) -> None:
    async def test() -> None:
        there = Hanging()
        assert await there.kid() == "old"
        there.hang()
        there.answer.set_result(odd)
        there.now += 700
        assert await there.kid() == "old"

    run(test())


def test_an_answer_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte of it comes in time, all of it does not."""
    monkeypatch.setattr(provider, "_SECONDS", 0.05)

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0)

    async def test() -> int:
        asked = provider.Provider(Settings(oidc_issuer="http://issuer"))
        asked._http = httpx2.AsyncClient(
            transport=httpx2.MockTransport(lambda _: httpx2.Response(200, content=drops()))
        )
        monkeypatch.setattr(provider, "_MOST_BYTES", 2**40)
        with pytest.raises(ApiError) as refused:
            await asked.description()
        await asked.close()
        return refused.value.code

    assert run(test()) == 503
