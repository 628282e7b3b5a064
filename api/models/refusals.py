"""What every refusal looks like."""

from __future__ import annotations

from typing import Any

import msgspec


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was refused, and what to do."""

    code: int
    status: str
    message: str
    details: dict[str, Any]


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """Every refusal has this shape."""

    error: ErrorDetail
