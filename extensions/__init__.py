"""All that an operation of one's own imports; docs/custom-operations.md shows one.

`INTERFACE` is the version of this module. An operation names the version that it is written for (``interface = 1``;
one that names none counts as 1), and each process refuses at its start an operation that names a higher one.

Within a version these may change: there are more names here; `Kind`, `Outcome` and `Result` have more fields, with
defaults; `Work` has more methods; an operation may have more methods, which none needs to have; sentences read
otherwise. These do not: what is in `__all__`, and what the docstrings there say of arguments, answers and exceptions;
which methods an operation needs; that a block comes as a whole, and again after a crash; the ids that `key_id` makes,
and where `Work.index` and `Work.data_index` point; that jobs made before an update can be taken back after it. What is
in other modules of Sluice may change at any time. The changelog announces a new version, with what to change.
"""

from control.creation.admission import Kind
from control.creation.kinds import INTERFACE
from processor.elastic.documents import bulk_item
from processor.errors import CannotGoOnError, FencedError
from processor.operations.base import FileOperation, Operation
from processor.operations.keyed import key_id
from processor.operations.work import Result, Work
from processor.outcome import Outcome
from processor.validation.rows import CheckedRows
from schemas.descriptors.datasets import Dataset
from schemas.job import Job
from schemas.messages.blocks import Block, RowBlock, SliceBlock, UndoBlock
from schemas.messages.progress import RowError

__all__ = [
    "INTERFACE",
    "Block",
    "CannotGoOnError",
    "CheckedRows",
    "Dataset",
    "FencedError",
    "FileOperation",
    "Job",
    "Kind",
    "Operation",
    "Outcome",
    "Result",
    "RowBlock",
    "RowError",
    "SliceBlock",
    "UndoBlock",
    "Work",
    "bulk_item",
    "key_id",
]
