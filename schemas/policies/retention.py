"""How long what holds values of a job is kept once it is over: days, for all datasets or for one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

MOST_DAYS: Final = 100_000
"""What is to be kept longer is kept for ever."""
Days = Annotated[float, Meta(gt=0, le=MOST_DAYS)] | Literal["forever"]
StoreName = Literal[
    "uploaded_files",
    "corrected_files",
    "parts",
    "results",
    "previews",
    "row_errors",
    "dead_letters",
    "changes",
    "before_images",
    "undone",
    "blocks",
    "inbox",
]
"""A place that holds values of jobs."""


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Days after the end of a job for which each store keeps what it has of the job."""

    uploaded_files: Days = 30.0
    corrected_files: Days = 30.0
    parts: Days = 1.0
    """Days that the parts of exports are kept; a completed export has removed them itself."""
    results: Days = 30.0
    previews: Days = 30.0
    row_errors: Days = 90.0
    dead_letters: Days = 30.0
    """The topic itself keeps them for 30 days."""


EXPIRING: Final[tuple[StoreName, ...]] = Retention.__struct_fields__  # type: ignore[assignment]  # a test compares them
"""The stores that have a retention here. Before-images have one of their own, and blocks that of their topic."""


@dataclass(frozen=True, slots=True)
class RetentionBook:
    """The retentions of every dataset."""

    default: Retention = field(default_factory=Retention)
    datasets: Mapping[str, Retention] = field(default_factory=dict)

    def days(self, store: StoreName, dataset: str) -> float:
        """Days that this store keeps the data of jobs of this dataset."""
        return _number(getattr(self.datasets.get(dataset, self.default), store))

    def longest(self, store: StoreName) -> float:
        """The most days of any dataset: for what is left of a job of which the dataset is not known any more."""
        return max(_number(getattr(one, store)) for one in (self.default, *self.datasets.values()))


def _number(days: float | str) -> float:
    return float("inf") if isinstance(days, str) else days


def retention_book(values: Mapping[str, Any]) -> RetentionBook:
    """The retentions that a setting describes: values for all, and under ``datasets`` other ones for some.

    Raises:
        ValueError: a name is not known, or a value can't be used.
    """
    common = {name: value for name, value in values.items() if name != "datasets"}
    single = values.get("datasets", {})
    if not isinstance(single, dict) or not all(isinstance(own, dict) for own in single.values()):
        raise ValueError("datasets is a table of tables: the name of a dataset, and its days")
    return RetentionBook(
        _retention(common, "for all datasets"),
        {name: _retention({**common, **own}, f"for dataset {name}") for name, own in single.items()},
    )


def _retention(values: Mapping[str, Any], whose: str) -> Retention:
    try:
        return msgspec.convert(dict(values), Retention)
    except msgspec.ValidationError as error:
        known = ", ".join(Retention.__struct_fields__)
        raise ValueError(f'{error} ({whose}); give days, or "forever", for {known}') from error
