"""Measurements: each figure of docs/performance.md, measured on a stack of its own."""
