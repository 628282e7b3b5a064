"""A logger for clients that only probe: what they complain about is what they are asked to find out."""

from __future__ import annotations

import logging


def silent_logger() -> logging.Logger:
    """A logger that drops everything."""
    logger = logging.getLogger("devstack.probe")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
