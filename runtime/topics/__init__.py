"""Reads small topics: to their end once, or on and on."""
