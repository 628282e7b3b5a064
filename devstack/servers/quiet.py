"""A logger that drops everything, for clients that probe a server which may not answer."""

from __future__ import annotations

import logging


def silent_logger() -> logging.Logger:
    """A logger that drops everything."""
    logger = logging.getLogger("devstack.probe")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
