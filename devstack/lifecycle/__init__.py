"""The local stack from its start to its end: startup, state, following logs, shutdown."""
