"""The keys of an OpenID provider, as they rotate. They are renewed behind the requests: no provider that hangs holds
them up as long as the keys can be used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from joserfc.jwk import KeySet

from api.errors import unavailable
from runtime.clock import Clock

_KEPT_SECONDS: Final = 600.0
"""The API uses the keys this long before it asks for them again; a withdrawn key works until then."""
_LONGEST_SECONDS: Final = 3600.0
"""The API uses the keys this long if the provider does not answer."""
_LEAST_SECONDS: Final = 10.0
"""The API asks again this long after it has asked, at the earliest: anyone may send tokens that name unknown keys."""
_PATIENCE_SECONDS: Final = 1.0
"""Requests with keys that can be used wait for newer ones in the first second of an attempt, and not any longer."""


class ProviderKeys:
    """The provider's keys. `read` asks for them; `trouble` is told why that failed."""

    def __init__(
        self, read: Callable[[], Awaitable[Any]], trouble: Callable[[str, Exception], None], clock: Clock
    ) -> None:
        self._read = read
        self._trouble = trouble
        self._clock = clock
        self._keys: KeySet | None = None
        self._read_at = self._asked_at = -_LONGEST_SECONDS
        """When the attempt began that the keys are of, and when the last one ended."""
        self._began_at = 0.0
        self._renewing: asyncio.Task[None] | None = None

    async def get(self, *, anew: bool = False) -> KeySet:
        """The keys. `anew`: as the provider has them now, if it may be asked already.

        Raises:
            ApiError: 503, they can't be had.
        """
        if anew or self._age() >= _KEPT_SECONDS:
            await self._renewed(anew)
        if self._keys is None or self._age() >= _LONGEST_SECONDS:
            raise unavailable("the OpenID provider's keys can't be read now")
        return self._keys

    async def _renewed(self, anew: bool) -> None:
        """Wait for the attempt that is under way, or is due now: to its end, or while there is patience."""
        now = self._clock.monotonic()
        if self._renewing is None and now - self._asked_at >= _LEAST_SECONDS:
            self._began_at = now
            self._renewing = asyncio.create_task(self._renew())
        if self._renewing is None:
            return
        if anew or self._age() >= _LONGEST_SECONDS:
            await asyncio.wait([self._renewing])
        elif (patience := self._began_at + _PATIENCE_SECONDS - now) > 0:
            sleeping = asyncio.create_task(self._clock.sleep(patience))
            try:
                await asyncio.wait([self._renewing, sleeping], return_when=asyncio.FIRST_COMPLETED)
            finally:
                sleeping.cancel()

    async def _renew(self) -> None:
        try:
            self._keys, self._read_at = KeySet.import_key_set(await self._read()), self._began_at
        except Exception as error:  # whatever is wrong with what the provider publishes
            self._trouble("its keys can't be read", error)
        finally:
            self._asked_at, self._renewing = self._clock.monotonic(), None

    def _age(self) -> float:
        return self._clock.monotonic() - self._read_at

    def close(self) -> None:
        """End the attempt that is under way."""
        if self._renewing is not None:
            self._renewing.cancel()
