"""Supervision: which processes run, how they are started, told apart and ended, and their restarts."""
