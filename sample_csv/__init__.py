"""Dummy data: the generator behind `sluice sample`, the accidents, and small ready files in files/."""
