"""Removing what holds values of jobs: all of a job that is purged, and what is kept no longer than its retention."""
