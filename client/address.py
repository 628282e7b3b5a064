"""Where the API is, and the key for it, as the environment says; the same as for the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from client.errors import WrongArgument


def base_url(environment: Mapping[str, str] = os.environ) -> str:
    """The API's address: SLUICE_API_URL, or that of SLUICE_API_HOST and SLUICE_API_PORT on this machine."""
    values = _given(environment)
    scheme = "https" if values.get("SLUICE_API_TLS_CERT_FILE") else "http"
    host, port = values.get("SLUICE_API_HOST", "127.0.0.1"), values.get("SLUICE_API_PORT", "8080")
    if ":" in host:  # an address of IPv6
        host = f"[{host}]"
    return values.get("SLUICE_API_URL") or f"{scheme}://{host}:{port}"


def key_source(environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """The API key and where it stands: SLUICE_API_KEY, or the file of a local stack; None: there is none.

    Raises:
        ValueError: the API's address can't be read.
    """
    values = _given(environment)
    if given := values.get("SLUICE_API_KEY"):
        return given, "SLUICE_API_KEY"
    # The key of a local stack is for this machine only; it must not be sent to another server.
    if values.get("SLUICE_API_URL") and urlsplit(base_url(values)).hostname not in ("localhost", "127.0.0.1", "::1"):
        return None
    file = Path(values.get("SLUICE_HOME", ".sluice")) / "admin.key"
    try:
        key = file.read_bytes().decode("utf-8", "replace").strip()
    except (OSError, ValueError):
        return None
    return (key, str(file)) if key else None


def _given(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables, by their names in capitals; an empty one counts as unset."""
    return {name.upper(): value for name, value in environment.items() if value}


def headers_for(key: str | None) -> dict[str, str]:
    """The headers that carry a key.

    Raises:
        WrongArgument: no header can; the message does not show it.
    """
    if key is None:
        return {}
    if not key.isascii() or not key.isprintable() or " " in key:
        raise WrongArgument("the API key holds a space, a line end or a character that is not ASCII, and no key does")
    return {"Authorization": f"Bearer {key}"}
