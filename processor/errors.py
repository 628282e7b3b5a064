"""What can go wrong while blocks are applied."""

from __future__ import annotations


class FencedError(Exception):
    """The work was decided on under an older epoch, or its partition is another worker's now.

    Nothing was sent. The blocks stay to do; trying again is whoever owns the lane's business.
    """


class StoppedError(FencedError):
    """The job has moved on, its partitions are still ours. An unanswered request may be made again."""


class UnansweredError(FencedError):
    """A request was sent that Elasticsearch may still carry out, and it must not be asked again."""


class CannotGoOnError(Exception):
    """The job can't go on, and trying again does not help; the message says why, for an operator."""
