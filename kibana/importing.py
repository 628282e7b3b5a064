"""Sends the saved objects to Kibana."""

from __future__ import annotations

import ssl
from urllib.parse import quote

import httpx2

from kibana.answers import Report, report
from kibana.catalog import saved_objects
from kibana.errors import UNREACHABLE, USAGE, KibanaError
from kibana.objects import ndjson
from runtime.settings import Settings

TIMEOUT = httpx2.Timeout(60.0, connect=5.0)


def import_objects(settings: Settings, transport: httpx2.BaseTransport | None = None) -> Report:
    """Import the data views, charts and dashboards of this installation; those that are there are written over.

    Raises:
        KibanaError: Kibana does not answer, or refuses.
    """
    url = settings.kibana_url.rstrip("/")
    base = url + (f"/s/{quote(settings.kibana_space, safe='')}" if settings.kibana_space else "")
    objects = saved_objects(settings.prefix)
    file = {"file": (f"{settings.prefix}.ndjson", ndjson(objects).encode(), "application/x-ndjson")}
    try:
        with _client(settings, transport) as client:
            answer = client.post(f"{base}/api/saved_objects/_import", params={"overwrite": "true"}, files=file)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise KibanaError(f"{url} (SLUICE_KIBANA_URL) is no address of a server: {error}", USAGE) from error
    except (httpx2.RequestError, OSError) as error:
        why = f" ({error})" if str(error) else ""
        raise KibanaError(
            f"Kibana at {url} can't be reached{why}; is it running? SLUICE_KIBANA_URL names another one", UNREACHABLE
        ) from error
    try:
        body = answer.json()
    except ValueError:
        body = None
    return report(url, base, objects, answer.status_code, body)


def _client(settings: Settings, transport: httpx2.BaseTransport | None) -> httpx2.Client:
    # Kibana refuses requests without the first one: a page elsewhere could have made a browser send them.
    headers = {"kbn-xsrf": "sluice"}
    auth = None
    if settings.kibana_api_key:
        headers["Authorization"] = f"ApiKey {settings.kibana_api_key.get_secret_value()}"
    elif settings.kibana_username:
        password = settings.kibana_password.get_secret_value() if settings.kibana_password else ""
        auth = httpx2.BasicAuth(settings.kibana_username, password)
    verify: ssl.SSLContext | bool = True
    if settings.kibana_ca_file:
        try:
            verify = ssl.create_default_context(cafile=str(settings.kibana_ca_file))
        except OSError as error:
            why = error.strerror or error
            raise KibanaError(
                f"{settings.kibana_ca_file} (SLUICE_KIBANA_CA_FILE) can't be used: {why}", USAGE
            ) from error
    return httpx2.Client(
        headers=headers, auth=auth, verify=verify, timeout=TIMEOUT, transport=transport, trust_env=False
    )
