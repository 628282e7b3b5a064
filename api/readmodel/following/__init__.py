"""Reads topics in threads, for the view: records as they come, and older history when it is asked for."""
