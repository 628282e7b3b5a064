"""Accidents that a file may be: exchanged columns, shifted ones, wrong years. Pure: no I/O, no clock."""
