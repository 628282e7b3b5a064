"""Benthos, the core of Redpanda Connect, built from the modules that `go.sum` pins."""
