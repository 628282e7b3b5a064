"""Bodies of requests, and fields of forms, as structs. Pure."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from api.errors import ApiError, invalid
from schemas.descriptors.expectations import fields_in_words
from schemas.messages.codec import UndecodableError, decode, fit

T = TypeVar("T")


def body_as(data: bytes, kind: type[T]) -> T:
    """A JSON body as a struct; one that is empty, or white space, is an empty object.

    Raises:
        ApiError: 400, with what does not fit and the fields that there are.
    """
    try:
        body: T = decode(data if data.strip() else b"{}", kind)
    except UndecodableError as error:
        if isinstance(error.__cause__, msgspec.ValidationError):
            raise _unfit(error, kind) from error
        raise invalid(f"the body is not JSON: {error}") from error
    return body


def object_as(values: dict[str, Any], kind: type[T]) -> T:
    """A JSON object as a struct. Raises as `body_as`."""
    try:
        return fit(values, kind)
    except UndecodableError as error:
        raise _unfit(error, kind) from error


def values_as(values: dict[str, Any], kind: type[T]) -> T:
    """The fields of a form, or of a query, as a struct.

    Raises:
        ApiError: 400, with what does not fit. It lists no fields: a person who fills in a form does not name them.
    """
    try:
        return fit(values, kind)
    except UndecodableError as error:
        raise invalid(f"the request does not fit: {error}") from error


def number_in(text: str) -> int | str:
    """A text of digits as a number; another one as it is, for the checks of its type to refuse."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text


def _unfit(error: UndecodableError, kind: Any) -> ApiError:
    return invalid(f"the request does not fit: {error}; {fields_in_words(kind)}")
