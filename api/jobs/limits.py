"""The limits of an organisation, as callers see them."""

from __future__ import annotations

from api.models.installation import LimitList, LimitView
from api.principals.sessions import open_sessions
from api.uploads.drafts import drafts_bytes
from api.web.services import Services
from control.principals.registry import counted_for
from runtime.clock import now_ms
from schemas.policies.quotas import LIMITS

CONNECTION_LIMITS = (
    ("unpacked_bytes", "bytes", 413, "bytes that a compressed file unpacks to"),
    ("api_connections", "connections", 503, "connections that the API holds open at once"),
    ("api_head_seconds", "seconds", 408, "seconds until a request's line and headers have come"),
    ("api_pause_seconds", "seconds", 408, "seconds of a pause in the sending of a body"),
    ("api_least_bytes_per_second", "bytes a second", 408, "bytes a second that a body has to come with, at least"),
)
"""Name of a setting, unit, status and meaning, of the limits that are the same for all callers: those of connections
count before it is known who sends a request."""


async def limits_of(services: Services, organisation: str) -> LimitList:
    """What this organisation may use, and what it uses."""
    quotas = services.catalog.quotas.of(organisation)
    usage = services.view.usages.of(organisation)
    jobs = [job for job in services.view.jobs.open.values() if job.organisation == organisation]
    used = {
        "jobs_running": usage.running,
        "jobs_queued": usage.queued,
        "drafts": usage.drafts,
        "stored_bytes": usage.stored_bytes + await drafts_bytes(services.settings.storage_root, jobs),
        "inbox_rows": usage.inbox_rows,
        "event_streams": services.streams[organisation],
        "keys": counted_for(services.principals.feed.registry.usable_keys(now_ms()), organisation),
        "sessions": counted_for(open_sessions(services.principals, now_ms()), organisation),
        "mappings": await services.mappings.count(organisation),
        "webhooks": len(services.webhooks.webhooks.of(organisation)),
    }
    own = [
        LimitView(
            name=name,
            most=getattr(quotas, name),
            unit=limit.unit,
            used=used.get(name),
            setting="SLUICE_LIMITS",
            status=limit.status,
            meaning=f"the most {limit.bounds}",
            advice=limit.advice,
        )
        for name, limit in LIMITS.items()
    ]
    common = [
        LimitView(
            name=name,
            most=getattr(services.settings, name),
            unit=unit,
            used=None,
            setting=f"SLUICE_{name.upper()}",
            status=status,
            meaning=meaning,
            advice="",
        )
        for name, unit, status, meaning in CONNECTION_LIMITS
    ]
    return LimitList(organisation=organisation, weight=quotas.weight, limits=own + common)
