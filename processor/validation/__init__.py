"""Rows against their dataset, a column at a time."""
