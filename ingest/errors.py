"""What can go wrong while a source is read, in words for the operator."""

from __future__ import annotations


class SourceError(Exception):
    """The source can't be read to its end: it becomes InputFailed.

    Reading again helps only after the operator has done what the message says.
    """


class PublishError(Exception):
    """Kafka did not take a record. The process ends; another reader goes on from the last recorded checkpoint."""
