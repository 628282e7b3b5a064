"""JSON Schemas of all topics' messages, for services in any language; ``python -m schemas.jsonschema`` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from schemas.job import Job
from schemas.messages.blocks import Block
from schemas.messages.commands import Command, NoOldReports, Report, TimerDue
from schemas.messages.events import History
from schemas.messages.inbox import InboxRecord, InboxRow
from schemas.messages.lanes import LaneRecord
from schemas.messages.plans import Plan
from schemas.messages.progress import LaneProgress, RowError
from schemas.messages.webhooks import Delivery, Webhook
from schemas.other_forms import describe_names, describe_sources
from schemas.policies.principals import PrincipalRecord
from schemas.policies.security import SecurityEvent
from schemas.topics import TopicName

FOLDER = Path(__file__).parent / "json"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"

MESSAGES: dict[TopicName, tuple[Any, str, str]] = {
    "commands": (
        Command,
        "Command",
        "Requests of people and services, and copies of the reports of readers and workers. Key: the job id.",
    ),
    "reports": (
        Report | TimerDue | NoOldReports,
        "Report",
        "What readers and workers say of their work. Key: the job id.",
    ),
    "job-events": (
        History,
        "Job event",
        "What happened to a job, or a command that changed nothing: who asked, why, at which command. Key: the job id.",
    ),
    "jobs": (Job, "Job", "A job's state; the control agent alone writes it, no value removes it. Key: the job id."),
    "plans": (Plan, "Plan", "Work for the readers in ingest/. Key: the job id."),
    "rows": (Block, "Block", "The unit of work. No key: block b of a job lies on partition b mod P."),
    "inbox": (
        InboxRow,
        "Inbox row",
        "A row from an upstream service, or some consecutive ones, for a job whose source is a topic. Key: the job id.",
    ),
    "inbox-state": (
        InboxRecord,
        "Inbox record",
        "Which of a job's rows on one partition of the inbox are in blocks. Key: the job id.",
    ),
    "lanes": (LaneRecord, "Lane record", "The checkpoint of one job on one partition. Key: job id/partition."),
    "progress": (LaneProgress, "Lane progress", "Cumulative counts of one lane. Key: the job id."),
    "principals": (
        PrincipalRecord,
        "Principal record",
        "A key, its last use, a session of the page, or what a process of the API signs with. "
        "Key: key/, use/, session/ or signer/, and the id.",
    ),
    "security-events": (
        SecurityEvent,
        "Security event",
        "Who came in, who was refused, who made keys. Key: the principal's name.",
    ),
    "webhooks": (Webhook, "Webhook", "An address that an organisation has events sent to. Key: the webhook's id."),
    "webhook-deliveries": (
        Delivery,
        "Delivery",
        "An event on its way to a webhook, and how far it has come. Key: webhook id/event id.",
    ),
    "dead-letters": (RowError, "Row error", "A row that was not applied, and why. Key: the job id."),
}
"""Topic -> its message (a struct, or a union of tagged structs), title and description."""


def json_schemas() -> dict[str, dict[str, Any]]:
    """File name (``<topic>.json``) -> JSON Schema document."""
    documents = {}
    for topic, (message, title, description) in MESSAGES.items():
        schema = msgspec.json.schema(message)
        if topic == "commands":
            describe_names(schema["$defs"]["Options"])
            describe_sources(schema["$defs"]["CreateJob"])
        documents[f"{topic}.json"] = {**schema, "$schema": _DRAFT, "title": title, "description": description}
    return documents


def as_text(document: dict[str, Any]) -> str:
    """The document as its file holds it."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> None:
    """Write every schema's file."""
    folder.mkdir(exist_ok=True)
    for name, document in json_schemas().items():
        (folder / name).write_text(as_text(document), encoding="utf-8")


if __name__ == "__main__":
    write()
