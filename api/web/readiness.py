"""The state of Elasticsearch, for ``/readyz``."""

from __future__ import annotations

from elasticsearch import ApiError as ElasticsearchError
from elasticsearch import AsyncElasticsearch, TransportError

_ELASTICSEARCH_SECONDS = 2.0


async def elasticsearch_state(client: AsyncElasticsearch) -> str:
    """``ok``, or a sentence that names the problem."""
    try:
        quick = client.options(request_timeout=_ELASTICSEARCH_SECONDS)
        health = await quick.cluster.health(filter_path="status")
    except (TransportError, ElasticsearchError) as error:
        return f"Elasticsearch does not answer ({type(error).__name__}); reports and row errors wait for it"
    return "ok" if health["status"] != "red" else "Elasticsearch is red: some of its data cannot be reached"
