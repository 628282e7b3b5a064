"""Looks up the hosts that callers name, in threads of its own: a silent name server holds one for as long as it likes.

The event loop looks up the names of our own servers. It has few threads for that, and these names would take them all.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from weakref import WeakValueDictionary

from api.errors import ApiError, unavailable
from api.locks import Turns
from runtime.network.addresses import Address
from runtime.network.internet import is_public

OF_ONE_ORGANISATION: Final = 4
"""Names that are looked up at once."""
WAITING: Final = 60
"""Names of one organisation that wait for their turn, at most."""
THREADS: Final = 32


class HostNotFoundError(Exception):
    """A host's name can't be resolved now; trying again may help."""


class PrivateAddressError(Exception):
    """A host has an address of a private network, or of this machine."""


def look_up(host: str, port: int) -> Sequence[str]:
    """The network addresses of a host. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


class Lookups:
    """The threads of one process. A name holds its organisation's place until its thread is free again."""

    def __init__(
        self,
        look_up: Callable[[str, int], Sequence[str]] = look_up,
        turn_seconds: float = 10.0,
        answer_seconds: float = 10.0,
    ) -> None:
        """How long a request waits for its turn, and then for the answer."""
        self._look_up = look_up
        self._turn_seconds = turn_seconds
        self._answer_seconds = answer_seconds
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="lookup")
        self._turns: WeakValueDictionary[str, Turns] = WeakValueDictionary()

    async def network_address(
        self, address: Address, organisation: str, *, allow_private: bool, patient: bool = False
    ) -> str:
        """The network address to connect to; `organisation` has named the host.

        `patient`: wait for a turn however long it takes, and however many wait: the caller has a time limit of its own.

        Raises:
            HostNotFoundError, PrivateAddressError: the message names the host.
            ApiError: 503, too many names are looked up.
        """
        turns = self._turns.setdefault(organisation, Turns(OF_ONE_ORGANISATION))
        await self._turn(turns, patient)
        looking = self._pool.submit(self._look_up, address.host, address.port)
        turns.end_with(looking)
        try:
            async with asyncio.timeout(self._answer_seconds):
                found = await asyncio.wrap_future(looking)
        except TimeoutError as error:
            if looking.cancelled():  # it never began
                raise _too_many("all together") from error
            raise HostNotFoundError(f"the host {address.host} can't be found: its name server is silent") from error
        except (OSError, UnicodeError) as error:
            raise HostNotFoundError(f"the host {address.host} can't be found: {error}") from error
        if not allow_private and not all(map(is_public, found)):
            raise PrivateAddressError(f"the host {address.host} has a private network address")
        return found[0]

    async def _turn(self, turns: Turns, patient: bool) -> None:
        if patient:
            await turns.free.acquire()
            return
        if turns.requests >= WAITING:
            raise _too_many("this organisation")
        turns.requests += 1
        try:
            async with asyncio.timeout(self._turn_seconds):
                await turns.free.acquire()
        except TimeoutError as error:
            raise _too_many("this organisation") from error
        finally:
            turns.requests -= 1

    def close(self) -> None:
        """Shut the pool down, without waiting for its threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _too_many(whose: str) -> ApiError:
    return unavailable(f"the API looks up as many names of hosts for {whose} as may be at once; try again in a while")
