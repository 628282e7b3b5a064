"""The catalogue of log events: each line of a log names one of these, by which it can be searched and counted.

A line may also name a job, a partition (or several) and an epoch.
"""

from __future__ import annotations

from typing import Any, Final

EVENTS: Final[dict[str, str]] = {
    "process.started": "The process begins; with its version.",
    "process.ready": "The process does its work from now on.",
    "process.stopping": "A signal has told the process to stop.",
    "process.failed": "The process ends after an error. Its supervisor starts another one.",
    "process.hangs": "The process should have ended, and something in it hangs; it is ended now.",
    "process.untested_library": "A library has a version that the worker was not tested with.",
    "kafka.waiting": "The process waits for Kafka, or for topics.",
    "storage.waiting": "The process waits for the storage folder; the API, until that of the installation is mounted.",
    "kafka.trouble": "Kafka or its client reports an error that goes away by itself, or leads to another line.",
    "elasticsearch.trouble": "Elasticsearch does not answer, or puts requests off; they are made again.",
    "partitions.assigned": "The process owns these partitions from now on.",
    "partitions.released": "The process has given partitions up, in good order.",
    "partitions.lost": "The group has put the process out: its partitions are another one's.",
    "partitions.unclosed": "The last owner did not close its partitions: pauses wait for its requests to end.",
    "table.behind": "The worker waits for the control table.",
    "record.unreadable": "A record can't be read: it became a dead letter, or is left out.",
    "record.refused": "Rows of the inbox were refused; they are dead letters.",
    "images.deleted": "Before-images were deleted whose jobs ended long ago.",
    "report.lost": "Reports for the dashboards could not be written; `sluice rebuild` makes them again.",
    "command.unreadable": "A command can't be read, and is refused.",
    "command.failed": "A command failed unexpectedly, and is refused.",
    "job.event": "Something has happened to a job, as its history has it, or a command was refused.",
    "job.failed": "A job can't go on, and why.",
    "job.stuck": "A job could not be started, or its rows can't become blocks.",
    "job.waits": "The storage is away that a job needs; the job goes on by itself.",
    "job.read_again": "Rows of a job that waited for the storage are read again.",
    "job.not_understood": "A newer version has written a job's state: this process leaves the job alone.",
    "job.not_inspected": "The first rows of a job could not be looked at, or not compared; the job goes on.",
    "job.deferred": "A report about a job of a newer version is put back for a newer worker.",
    "purge.failed": "A purge met an unexpected error; its end tells the cause.",
    "store.emptied": "A worker removed data whose retention is over.",
    "store.trouble": "Something that holds values of jobs can't be removed now.",
    "maintenance.trouble": "Something that a worker does again and again can't be done now; its next turn comes.",
    "plan.begun": "A reader begins with a plan.",
    "plan.ended": "A reader has come to the end of its work on a plan.",
    "plan.void": "A plan is not wanted any more.",
    "file.compared": "A file is not as it was when its job was made: its content is compared.",
    "uploads.cleaned": "Parts of uploads that broke off were removed, or could not be.",
    "drafts.trouble": "Drafts can't be looked after now; it is tried again in a few minutes.",
    "figures.trouble": "A figure of the page's head can't be had now; it is left out, and asked for again.",
    "request.failed": "A request to the API failed unexpectedly.",
    "request.answered": "A request to the API is over: principal, route, status and time.",
    "request.broken_off": "An answer breaks off: the caller's key or session has ended.",
    "security.event": "Someone came in, was refused, or made or revoked a key; `occurrence` says which.",
    "principals.trouble": "A record of the principals can't be read, or was not written.",
    "webhooks.owned": "This process delivers webhooks from now on, or does so no more.",
    "webhooks.trouble": "Webhooks can't be delivered now, or a record of them was not written; it is tried again.",
    "webhook.not_taken": "A receiver did not take an event; it is tried again.",
    "webhook.given_up": "An event is not delivered: it was tried for long enough, or can't be.",
    "webhook.off": "A receiver has answered that it wants no more: its webhook is off.",
    "openid.trouble": "The OpenID provider does not answer, or its keys can't be read.",
    "inbox.restarted": "The reader of the inbox restarts its Kafka session.",
    "index.rolled": "The rows of a dataset have outgrown their index: new jobs write into the next one soon.",
    "migrate.changed": "`migrate` has made or altered a topic or an index.",
    "migrate.done": "`migrate` has ended; with the number of differences that are left.",
    "migrate.differs": "A topic or an index is not as the settings say.",
}
"""Name -> what it means. docs/runbook.md has the same table; a test compares."""


def as_event(name: str, **fields: Any) -> dict[str, Any]:
    """The argument `extra` of a log call. `fields`: `job`, `partition` or `partitions`, `epoch`, and others."""
    assert name in EVENTS, name
    return {"event": name, "fields": fields}
