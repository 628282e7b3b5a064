"""Which webhooks there can be, and which addresses can be named. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import urlsplit

from runtime.network import is_public
from schemas.ids import short_name_problem
from schemas.job import Options
from schemas.messages.webhooks import MOST_URL

ADDRESSES: Final = "addresses"
"""The name of the webhook that has no address: the one for addresses that jobs name themselves."""
_PRINTED: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[\w.:%-]+")
SETTING: Final = "SLUICE_WEBHOOK_ALLOW_PRIVATE"


def is_address(text: str) -> bool:
    """Whether a job's `notify` is an address rather than the name of a webhook."""
    return "://" in text or text.lower().startswith(("http:", "https:"))


def address_problem(url: str, allow_private: bool) -> str | None:
    """Why nothing can be sent to this address; None: it can, as far as the text says.

    The address is not shown: those of chat services hold secrets.
    """
    if len(url) > MOST_URL:
        return f"the address has {len(url):,} characters; use at most {MOST_URL:,}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"the address can't be read: {error}"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "the address begins with https:// and a host, as in https://example.org/sluice"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "the address has no user, password or fragment"
    if port == 0 or not _PRINTED.fullmatch(url) or "\\" in url or not _HOST.fullmatch(parts.hostname):
        return "the address has no spaces, backslashes, control characters or letters other than ASCII, and no port 0"
    if allow_private:
        return None
    if parts.scheme == "http":
        return f"the address begins with https://; without TLS anyone on the way could read it (see {SETTING})"
    if not _may_be_public(parts.hostname):
        return f"the host {parts.hostname} has a private network address (see {SETTING})"
    return None


def name_problem(name: str) -> str | None:
    """Why a webhook can't be called so; None: it can."""
    if name == ADDRESSES:
        return f"{ADDRESSES!r} is the webhook without an address, for those that jobs name; use another name"
    return short_name_problem("a webhook", name)


def notify_problem(options: Options) -> str | None:
    """Why a job can't name this address or webhook; None: it can, as far as the text says."""
    if options.notify is None:
        return None
    problem = (
        address_problem(options.notify, allow_private=True)
        if is_address(options.notify)
        else name_problem(options.notify)
    )
    return None if problem is None else f"notify is the address of a receiver, or the name of a webhook: {problem}"


def _may_be_public(host: str) -> bool:
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return False
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return is_public(host.partition("%")[0])
