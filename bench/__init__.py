"""The performance table: each figure measured on a real stack of its own, beside what it is compared with."""
