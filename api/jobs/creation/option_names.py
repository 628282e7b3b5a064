"""Names of options in a request's JSON, and the second name of one. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from api.errors import invalid

_OTHER: Final = "constants"
_NAME: Final = "set"


class _Given(msgspec.Struct):
    options: dict[str, msgspec.Raw] = {}


def given_options(data: bytes) -> frozenset[str]:
    """Names of the options in the JSON of a request that could be read."""
    return frozenset(msgspec.json.decode(data, type=_Given).options)


def with_first_names(data: bytes) -> bytes:
    """The JSON of a request with ``options.set`` where it says ``options.constants``; JSON that is none stays as it is.

    Raises:
        ApiError: 400, it says both.
    """
    if _OTHER.encode() not in data:
        return data
    try:
        request: Any = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data
    options = request.get("options") if isinstance(request, dict) else None
    if not isinstance(options, dict) or _OTHER not in options:
        return data
    if _NAME in options:
        raise invalid(f"options.{_OTHER} and options.{_NAME} are two names of one option; give one of them")
    options[_NAME] = options.pop(_OTHER)
    return msgspec.json.encode(request)
