"""The operations: each a class of its own, which the engine does not know by name."""
