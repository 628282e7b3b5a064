"""What both shells make of a call for httpx2, and of what httpx2 raises."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from client.address import base_url, headers_for, key_source
from client.errors import Unreachable, WrongArgument
from client.protocol.exchange import decoded, finite
from client.protocol.retrying import Retry
from client.protocol.steps import Call, Coded, Reply

_CONNECT_SECONDS: Final = 5.0
_UNSENT: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the API is, and how it is spoken to."""

    url: str = field(default_factory=base_url)
    key: str | None = None
    trusted: ssl.SSLContext | bool = True
    """Which servers are trusted: the authorities of a context; True: those of the system."""
    timeout_seconds: float = 30.0
    retry: Retry = field(default_factory=Retry)

    @classmethod
    def of(
        cls, url: str | None, key: str | None, ca_file: str | None, timeout: float, retry: Retry | None
    ) -> Connection:
        """The connection for a user's arguments; those that are None are as the environment says.

        Raises:
            WrongArgument: the address, the key or the file can't be used.
        """
        try:
            found = None if key else key_source({**os.environ, **({"SLUICE_API_URL": url} if url else {})})
            trusted = ssl.create_default_context(cafile=ca_file) if ca_file else True
        except (ValueError, OSError) as error:
            raise WrongArgument(f"the address or the file of authorities can't be used: {error}") from None
        text = key or (found[0] if found else None)
        return cls(url=url or base_url(), key=text, trusted=trusted, timeout_seconds=timeout, retry=retry or Retry())

    def settings(self) -> dict[str, Any]:
        """The arguments of httpx2's clients."""
        limit, headers = _limit(self.timeout_seconds), headers_for(self.key)
        # To read the system's authorities takes a part of a command's time, and without TLS nobody asks them.
        verify = self.trusted is not True or not self.url.lower().startswith("http:")
        return {
            "base_url": self.url, "headers": headers, "timeout": limit, "trust_env": False,
            "verify": self.trusted if verify else False,
        }  # fmt: skip

    def arguments(self, call: Call[Any]) -> dict[str, Any]:
        """The arguments of httpx2's `build_request`.

        Raises:
            WrongArgument: a number in it is none that JSON has.
        """
        found: dict[str, Any] = {
            "method": call.method,
            "url": call.path,
            "params": {name: value for name, value in call.params.items() if value is not None},
            "headers": dict(call.headers),
        }
        if call.timeout_seconds is not None:
            found["timeout"] = _limit(call.timeout_seconds)
        if call.json is not None:
            found["json"] = finite(call.json)
        if call.content is not None:
            found["content"] = call.content
        if call.form is not None:
            found["files"] = call.form()
        return found

    @contextmanager
    def problems(self) -> Iterator[None]:
        """Turns what httpx2 raises into errors of this client."""
        try:
            yield
        except httpx2.RequestError as error:
            raise Unreachable(self._silent(error), sent=not isinstance(error, _UNSENT)) from error
        except httpx2.StreamError as error:
            raise Unreachable(self._silent(error), sent=True) from error
        except UnicodeEncodeError:
            raise WrongArgument("an argument is not UTF-8 text; write it in UTF-8") from None
        except httpx2.InvalidURL:
            raise WrongArgument("an argument is too long for a URL, or holds what no URL can") from None

    def _silent(self, error: Exception) -> str:
        why = f" ({error})" if str(error) else ""
        return f"the API at {httpx2.URL(self.url).copy_with(userinfo=b'')} can't be reached{why}"


def _limit(seconds: float) -> httpx2.Timeout:
    return httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS))


def reply_of(response: httpx2.Response) -> Reply:
    """The reply that a response is; its content, if it has been read."""
    return Reply(response.status_code, response.headers, response.content if response.is_closed else b"", response)


def value_of(found: Coded[Any]) -> Any:
    """The value for the caller.

    Raises:
        UnreadableAnswer: the content is of another shape.
    """
    value: Any = None
    if found.kind is bytes:
        value = found.content
    elif found.kind is not None and (found.content or found.kind is not Any):  # a deletion's answer has no content
        value = decoded(found.content, found.kind)
    return value if found.wrapped is None else found.wrapped(value)
