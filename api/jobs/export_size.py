"""How many rows an export would have, before it is made."""

from __future__ import annotations

from elasticsearch import ApiError as Refusal
from elasticsearch import TransportError

from api.web.services import Services
from schemas.commands import CreateJob
from schemas.exports import range_query
from schemas.generations import data_indices


async def export_rows(parts: Services, command: CreateJob) -> int | None:
    """The rows now; None: not known, since Elasticsearch does not say. The job's reader counts them as well."""
    field = parts.catalog.datasets[command.dataset].date_field
    if field is None or command.date_from is None:
        return None
    query = range_query(field, command.organisation, command.date_from, command.date_till)
    try:
        answer = await parts.elasticsearch.count(
            index=data_indices(parts.settings.prefix, command.dataset), query=query, ignore_unavailable=True
        )
        return int(answer["count"])
    except (Refusal, TransportError, LookupError, TypeError, ValueError):
        return None
