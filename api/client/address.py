"""Where the API is and with which key: as runtime.settings says, but without its slow imports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit


def api_url(environment: Mapping[str, str] = os.environ) -> str:
    """The API's base URL, the same as ``Settings.api``."""
    values = {name.upper(): value for name, value in environment.items()}
    host = values.get("SLUICE_API_HOST", "127.0.0.1")
    port = values.get("SLUICE_API_PORT", "8080")
    return (values.get("SLUICE_API_URL") or f"http://{host}:{port}").rstrip("/")


def api_key(environment: Mapping[str, str] = os.environ) -> str | None:
    """The API key: from the environment, or a local stack's; None: there is none."""
    values = {name.upper(): value for name, value in environment.items()}
    given = values.get("SLUICE_API_KEY")
    if given:
        return given
    # The key of a local stack is for this machine only; another server must not be told it.
    if values.get("SLUICE_API_URL") and urlsplit(api_url(values)).hostname not in ("localhost", "127.0.0.1", "::1"):
        return None
    try:
        return (Path(values.get("SLUICE_HOME", ".sluice")) / "admin.key").read_text().strip() or None
    except OSError:
        return None
