"""Slows those who try wrong keys: per address, and per beginning of a key; and records refusals of known callers within
a budget. Pure; the time is handed in."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final

from control.principals.keys import key_id_in, looks_like_token

FREE: Final = 10
"""Wrong attempts in a row that are answered at once."""
EVERY_SECONDS: Final = 6.0
"""After `FREE` wrong attempts the API looks at one attempt in this time."""
_MOST_KNOWN: Final = 10_000
_MOST_PROVED: Final = 16
_BEGINNING: Final = 8


class Budget:
    """How many attempts each source has left: `free` at once, then one in `every_seconds`."""

    def __init__(self, free: int = FREE, every_seconds: float = EVERY_SECONDS) -> None:
        self._every = every_seconds
        self._burst = free * every_seconds
        self._paid_until: OrderedDict[str, float] = OrderedDict()

    def wait(self, source: str, now: float) -> float:
        """Seconds until the next attempt of this source is looked at; 0: now."""
        return max(0.0, self._paid_until.get(source, now) + self._every - now - self._burst)

    def spend(self, source: str, now: float) -> None:
        """Count an attempt."""
        self._paid_until[source] = max(now, self._paid_until.get(source, now)) + self._every
        self._paid_until.move_to_end(source)
        while len(self._paid_until) > _MOST_KNOWN:
            self._paid_until.popitem(last=False)


class Attempts:
    """Wrong keys, and who sent them."""

    def __init__(self) -> None:
        self._addresses, self._beginnings = Budget(), Budget()
        self._proved: OrderedDict[str, None] = OrderedDict()
        self.unlogged = 0
        """Attempts that were not looked at since the last one that was logged."""

    def wait(self, address: str, text: str | None, now: float) -> float:
        """Seconds until another key of this beginning, from this address, is looked at; 0: now. None: it is no key."""
        named, by_address = beginning(text), self._addresses.wait(network(address), now)
        return by_address if named is None else max(by_address, self._beginnings.wait(named, now))

    def wrong(self, address: str, text: str | None, now: float) -> None:
        """Count a wrong key, or something wrong that is no key."""
        self._addresses.spend(network(address), now)
        named = beginning(text)
        if named is not None:
            self._beginnings.spend(named, now)

    def prove(self, sha256_of_key: str) -> None:
        """Remember that this key was right: from now on it is never made to wait."""
        self._proved[sha256_of_key] = None
        while len(self._proved) > _MOST_PROVED:
            self._proved.popitem(last=False)

    def proved(self, sha256_of_key: str) -> bool:
        """Whether this key was right before, in this process."""
        return sha256_of_key in self._proved


class Refusals:
    """What callers are refused whose keys are right. Each has a budget of refusals that are recorded one by one."""

    def __init__(self) -> None:
        self._budget = Budget()
        self._unlogged: OrderedDict[str, int] = OrderedDict()

    def refused(self, source: str, now: float) -> int | None:
        """How many refusals of this source were not recorded since the last one that was; None: nor is this one."""
        if self._budget.wait(source, now) == 0:
            self._budget.spend(source, now)
            return self._unlogged.pop(source, 0)
        self._unlogged[source] = self._unlogged.pop(source, 0) + 1
        while len(self._unlogged) > _MOST_KNOWN:
            self._unlogged.popitem(last=False)
        return None


def network(address: str) -> str:
    """Whose address it is: of IPv6 one customer has a /64 at least."""
    try:
        known = ip_address(address)
    except ValueError:
        return address[:64]
    return str(IPv6Address(int(known) >> 64 << 64)) if isinstance(known, IPv6Address) else str(known)


def beginning(text: str | None) -> str | None:
    """What is kept of a wrong key: the id that it names; of anything else a hash of its first characters.

    None: it has no beginning of its own. Everybody's tokens begin alike.
    """
    if text is None or looks_like_token(text):
        return None
    named = key_id_in(text)
    return named or sha256(text[:_BEGINNING].encode("utf-8", "surrogateescape")).hexdigest()
