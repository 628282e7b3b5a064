"""Reads request bodies that are short enough to be kept in memory."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from api.errors import ApiError
from api.uploads.multipart import broken_off
from api.uploads.receiving import MOST_JSON_BYTES
from api.web.ending import require_holding
from api.web.services import caller, services_of


async def short_body(request: Request) -> bytes:
    """The whole body of a request without files, by a caller whose key holds still at its end.

    Raises:
        ApiError: 413, it has more than `MOST_JSON_BYTES`; 400, it broke off; 401, the key was revoked, or the session
            ended, meanwhile.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_JSON_BYTES:
                text = f"the body is larger than {MOST_JSON_BYTES} bytes; send files as multipart/form-data"
                raise ApiError(413, text)
    except ClientDisconnect as gone:
        raise broken_off() from gone
    if hasattr(request.state, "caller"):  # a form to sign in has none yet
        require_holding(services_of(request), caller(request))
    return bytes(body)
