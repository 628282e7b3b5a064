"""Data views: the index that a chart reads, and the field to which the time range applies."""

from __future__ import annotations

from enum import Enum

from kibana.objects import SavedObject, saved_object
from schemas.indices import index_name


class View(Enum):
    """A report's index, and its time field.

    Jobs have none, so that a job that has been paused for a week is shown as well.
    """

    JOBS = ("jobs", None)
    PROGRESS = ("progress", "at")
    ERRORS = ("errors", "at")

    def __init__(self, report: str, time_field: str | None) -> None:
        self.report = report
        self.time_field = time_field

    def id(self, prefix: str) -> str:
        """The data view's id, which is the index's name."""
        return index_name(prefix, self.report)


def heading(prefix: str, name: str) -> str:
    """A title that begins with the installation's prefix."""
    return f"{prefix.capitalize()}: {name}"


def data_view(prefix: str, view: View) -> SavedObject:
    """The data view as Kibana stores it; its fields come from the index."""
    attributes = {"title": view.id(prefix), "name": heading(prefix, view.report)}
    if view.time_field:
        attributes["timeFieldName"] = view.time_field
    return saved_object("index-pattern", view.id(prefix), attributes)
