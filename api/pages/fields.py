"""The fields of a form without a file."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from api.errors import ApiError, invalid
from api.uploads.receiving import MOST_FIELDS
from api.web.bodies import short_body


def no_form() -> ApiError:
    """400: the body is not what a form of the page sends."""
    return invalid("the page sends no such form; scripts use the routes below /v1")


async def fields_of(request: Request) -> dict[str, str]:
    """Name -> value; where a name comes twice the last value counts. Raises as `pairs_of`."""
    return dict(await pairs_of(request))


async def pairs_of(request: Request, most: int = MOST_FIELDS) -> list[tuple[str, str]]:
    """Names and values, of at most so many fields.

    Raises:
        ApiError: 400, the body is no form; 413, it is longer than any form of the page.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise no_form()
    body = await short_body(request)
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=most)
    except ValueError as error:
        raise invalid(f"the form can't be read: {error}") from error
