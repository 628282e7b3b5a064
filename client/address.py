"""The API's address and key: the same as in runtime.settings, but without its slow imports."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from client.errors import usage
from runtime.urls import server_key, server_url


def api_url(environment: Mapping[str, str] = os.environ) -> str:
    """The API's base URL, the same as ``Settings.api``.

    Raises:
        ClientError: the settings give no URL that can be used.
    """
    values = {name.upper(): value for name, value in environment.items()}
    host = values.get("SLUICE_API_HOST", "127.0.0.1")
    port = values.get("SLUICE_API_PORT", "8080")
    given = values.get("SLUICE_API_URL")
    scheme = "https" if values.get("SLUICE_API_TLS_CERT_FILE") else "http"
    try:
        return server_url(given or f"{scheme}://{host}:{port}").rstrip("/")
    except ValueError as error:
        raise usage(f"{'SLUICE_API_URL' if given else 'SLUICE_API_HOST or SLUICE_API_PORT'}: {error}") from None


def tls_context(url: str, environment: Mapping[str, str] = os.environ) -> ssl.SSLContext | bool:
    """What decides which servers are trusted: the authorities that the settings name, or the system's (True).

    It is False for a URL without TLS: to read the system's takes a part of a command's time, and nobody asks them.

    Raises:
        ClientError: the file can't be used.
    """
    file = {name.upper(): value for name, value in environment.items()}.get("SLUICE_API_CA_FILE")
    if not file:
        return not url.lower().startswith("http:")
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:
        raise usage(f"SLUICE_API_CA_FILE {file} can't be used: {error}") from None


def api_key(environment: Mapping[str, str] = os.environ) -> str | None:
    """The API key: from the environment, or the local stack's; None: there is none.

    Raises:
        ClientError: the value can't be a key; the message does not show it.
    """
    values = {name.upper(): value for name, value in environment.items()}
    given = values.get("SLUICE_API_KEY")
    if given:
        return _sendable(given, "SLUICE_API_KEY")
    # The key of a local stack is for this machine only; it must not be sent to another server.
    if values.get("SLUICE_API_URL") and urlsplit(api_url(values)).hostname not in ("localhost", "127.0.0.1", "::1"):
        return None
    file = Path(values.get("SLUICE_HOME", ".sluice")) / "admin.key"
    try:
        key = file.read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return None
    return _sendable(key, str(file)) if key else None


def _sendable(key: str, where: str) -> str:
    try:
        return server_key(key)
    except ValueError as error:
        raise usage(f"the API key in {where} can't be used: {error}") from None
