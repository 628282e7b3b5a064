"""A JSON body that has options of a job, as a struct. Pure."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from api.errors import invalid
from api.web.parsing import body_as, object_as
from schemas.messages.codec import UndecodableError, decode

T = TypeVar("T")

_OTHER: Final = "constants"
_NAME: Final = "set"


def options_body_as(data: bytes, kind: type[T]) -> tuple[T, frozenset[str]]:
    """A JSON body that has ``options`` as a struct, and the names of the options that it says.

    Raises:
        ApiError: as `body_as` and `with_first_names`.
    """
    try:
        values: dict[str, Any] = with_first_names(decode(data, dict[str, Any]))
    except UndecodableError:
        return body_as(data, kind), frozenset()  # which says where a number is that is out of all range
    options = values.get("options")
    return object_as(values, kind), frozenset(options if isinstance(options, dict) else ())


def with_first_names(request: dict[str, Any]) -> dict[str, Any]:
    """A request with ``options.set`` where it says ``options.constants``.

    Raises:
        ApiError: 400, it says both.
    """
    options = request.get("options")
    if not isinstance(options, dict) or _OTHER not in options:
        return request
    if _NAME in options:
        raise invalid(f"options.{_OTHER} and options.{_NAME} are two names of one option; give one of them")
    return {**request, "options": {_NAME if name == _OTHER else name: value for name, value in options.items()}}
