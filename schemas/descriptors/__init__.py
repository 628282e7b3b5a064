"""Datasets: their fields, checks, dates and write modes, read from Frictionless Table Schema."""
