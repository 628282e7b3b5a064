"""Which webhooks there can be, and which addresses can be named. Pure."""

from __future__ import annotations

import ipaddress
from typing import Final

from runtime.network.addresses import Address, AddressError, read_address
from runtime.network.internet import is_public
from schemas.ids import short_name_problem
from schemas.job import Options
from schemas.messages.webhooks import MOST_URL

ADDRESSES: Final = "addresses"
"""The name of the webhook that has no address: the one for addresses that jobs name themselves."""
SETTING: Final = "SLUICE_WEBHOOK_ALLOW_PRIVATE"


def is_address(text: str) -> bool:
    """Whether a job's `notify` is an address rather than the name of a webhook."""
    return "://" in text or text.lower().startswith(("http:", "https:"))


def receiver_address(url: str, allow_private: bool) -> Address:
    """An address that something can be sent to, as far as the text says.

    Raises:
        AddressError: nothing can; the message does not show the address, since those of chat services hold secrets.
    """
    if len(url) > MOST_URL:
        raise AddressError(f"the address has {len(url):,} characters; use at most {MOST_URL:,}")
    address = read_address(url, ("https", "http"))
    if allow_private:
        return address
    if address.scheme == "http":
        raise AddressError(
            f"the address begins with https://; without TLS anyone on the way could read it (see {SETTING})"
        )
    if not _may_be_public(address.host):
        raise AddressError(f"the host {address.host} has a private network address (see {SETTING})")
    return address


def name_problem(name: str) -> str | None:
    """Why a webhook can't be called so; None: it can."""
    if name == ADDRESSES:
        return f"{ADDRESSES!r} is the webhook without an address, for those that jobs name; use another name"
    return short_name_problem("a webhook", name)


def notify_problem(options: Options) -> str | None:
    """Why a job can't name this address or webhook; None: it can, as far as the text says."""
    if options.notify is None:
        return None
    problem = _address_problem(options.notify) if is_address(options.notify) else name_problem(options.notify)
    return None if problem is None else f"notify is the address of a receiver, or the name of a webhook: {problem}"


def _address_problem(url: str) -> str | None:
    try:
        receiver_address(url, allow_private=True)
    except AddressError as error:
        return str(error)
    return None


def _may_be_public(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return False
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return is_public(host.partition("%")[0])
