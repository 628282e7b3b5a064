"""What can go wrong while blocks are applied."""

from __future__ import annotations


class FencedError(Exception):
    """The work was decided on under an older epoch, or its partition is another worker's now.

    Nothing was sent. The blocks stay to do, for the owner of their lane.
    """


class StoppedError(FencedError):
    """The job is in another epoch; this worker still owns its partitions, and may repeat an unanswered request."""


class UnansweredError(FencedError):
    """Elasticsearch may still carry out a request that was sent, and this worker must not repeat it."""


class PutOffError(Exception):
    """Elasticsearch can't do now what was asked of it; `BulkSink.ask` asks again, unless it is to ask once."""


class CannotGoOnError(Exception):
    """The job can't go on, and trying again does not help; the message says why, for an operator."""
