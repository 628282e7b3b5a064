"""The API's address and key: the same as in runtime.settings, but without its slow imports."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

from client.address import base_url, key_source
from commandline.errors import usage
from runtime.network.urls import server_key, server_url


def api_url(environment: Mapping[str, str] = os.environ) -> str:
    """The API's base URL, the same as ``Settings.api``.

    Raises:
        ClientError: the settings give no URL that can be used.
    """
    given = {name.upper(): value for name, value in environment.items()}.get("SLUICE_API_URL")
    try:
        return server_url(base_url(environment)).rstrip("/")
    except ValueError as error:
        raise usage(f"{'SLUICE_API_URL' if given else 'SLUICE_API_HOST or SLUICE_API_PORT'}: {error}") from None


def tls_context(environment: Mapping[str, str] = os.environ) -> ssl.SSLContext | bool:
    """What decides which servers are trusted: the authorities that the settings name, or the system's (True).

    Raises:
        ClientError: the file can't be used.
    """
    file = {name.upper(): value for name, value in environment.items()}.get("SLUICE_API_CA_FILE")
    if not file:
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except (OSError, ValueError) as error:
        raise usage(f"SLUICE_API_CA_FILE {file} can't be used: {error}") from None


def api_key(environment: Mapping[str, str] = os.environ) -> str | None:
    """The API key: from the environment, or the local stack's; None: there is none.

    Raises:
        ClientError: the value can't be a key; the message does not show it.
    """
    api_url(environment)
    found = key_source(environment)
    return None if found is None else _sendable(*found)


def _sendable(key: str, where: str) -> str:
    try:
        return server_key(key)
    except ValueError as error:
        raise usage(f"the API key in {where} can't be used: {error}") from None
