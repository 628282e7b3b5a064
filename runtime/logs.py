"""Logging of every process: plain text on standard error, one line an event."""

from __future__ import annotations

import logging

from runtime.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Set up this process's logging; to be called once, first."""
    logging.basicConfig(
        level=settings.log_level,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
    for noisy in ("aiokafka", "faust", "mode", "elastic_transport", "httpx2", "kafka", "python_multipart"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
