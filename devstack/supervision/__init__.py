"""Supervision: which processes run, and their restarts."""
