"""Logging of every process, on standard error: plain text for people, or JSON, one event a line, for collectors."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from runtime.settings import Settings

_NOISY = (
    "aiokafka", "confluent_kafka", "elastic_transport", "faust", "httpx2", "kafka", "librdkafka", "mode",
    "python_multipart",
)  # fmt: skip


class JsonFormatter(logging.Formatter):
    """A line of JSON: ``at``, ``level``, ``logger``, ``event``, ``message``, and what the event is about."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "event": getattr(record, "event", None),
            **{name: value for name, value in fields.items() if value is not None},
            "message": record.getMessage(),
            "error": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps(
            {name: value for name, value in line.items() if value is not None}, ensure_ascii=False, default=str
        )


def configure_logging(settings: Settings) -> None:
    """Set up this process's logging; to be called once, first."""
    handler = logging.StreamHandler()
    if as_json(settings):
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))


def as_json(settings: Settings) -> bool:
    """Whether log lines are JSON: unless the settings say, where standard error is no terminal."""
    if settings.log_format != "auto":
        return settings.log_format == "json"
    try:
        return not sys.stderr.isatty()
    except (AttributeError, ValueError):
        return True
