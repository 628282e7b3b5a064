"""Why a CSV file can't be read as a whole, in words for its sender."""

from __future__ import annotations


class CsvFileError(Exception):
    """The file has no header that fits, or a quote in it is never closed.

    The message says what is wrong and where. Reading the same bytes again gives the same error.
    """
