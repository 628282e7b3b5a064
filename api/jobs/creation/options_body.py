"""A JSON body that has options of a job, as a struct. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from api.errors import invalid
from api.web.parsing import body_as, object_as
from schemas.messages.codec import UndecodableError, decode
from schemas.other_forms import with_own_options

T = TypeVar("T")


def options_body_as(
    data: bytes, kind: type[T], renamed: Callable[[dict[str, Any]], dict[str, Any]] = with_own_options
) -> tuple[T, frozenset[str]]:
    """A JSON body that has ``options`` as a struct, and the names of the options that it says.

    `renamed`: gives the options in a body their own names; `with_own_names` where the body itself has them.

    Raises:
        ApiError: as `body_as`, and 400 where an option is there under two names.
    """
    try:
        values: dict[str, Any] = decode(data, dict[str, Any])
    except UndecodableError:
        return body_as(data, kind), frozenset()  # which says where a number is that is out of all range
    try:
        values = renamed(values)
    except ValueError as error:
        raise invalid(str(error)) from error
    options = values.get("options")
    return object_as(values, kind), frozenset(options if isinstance(options, dict) else ())
