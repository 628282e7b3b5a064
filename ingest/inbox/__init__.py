"""Rows that services produce themselves become blocks, each row exactly once."""
