"""Reads topics without a group: to their end once, or on and on."""
