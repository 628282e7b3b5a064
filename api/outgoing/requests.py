"""A request to a host that a caller names: to the network address that was checked, for the path that was checked."""

from __future__ import annotations

from collections.abc import Mapping

import httpx2

from runtime.network.addresses import Address
from runtime.version import VERSION


def request_to(
    client: httpx2.AsyncClient,
    method: str,
    address: Address,
    network_address: str,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
) -> httpx2.Request:
    """The request, whose connection needs no second answer of a name server, which could lead elsewhere."""
    own = {"Host": address.authority, "Accept-Encoding": "identity", "User-Agent": f"sluice/{VERSION}"}
    return client.build_request(
        method,
        httpx2.URL(scheme=address.scheme, host=network_address, port=address.port),
        content=content,
        headers={**own, **(headers or {})},
        # The client would rewrite a path that is a part of the URL.
        extensions={"sni_hostname": address.host, "target": address.target},
    )
