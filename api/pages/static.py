"""The page's own files: a style sheet, scripts, an icon. Whoever may not sign in needs them too."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api.errors import ApiError

_FOLDER = Path(__file__).parent.parent / "static"
_TYPES: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "htmx.min.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


async def static_file(request: Request) -> Response:
    """One of the files; browsers ask each time whether theirs is still the newest."""
    name = request.path_params["name"]
    if name not in _TYPES:
        raise ApiError(404, "there is no such file")
    content, etag = _file(name)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_TYPES[name])


@lru_cache(maxsize=len(_TYPES))
def _file(name: str) -> tuple[bytes, str]:
    content = (_FOLDER / name).read_bytes()
    return content, f'"{sha256(content).hexdigest()[:32]}"'
