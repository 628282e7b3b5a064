"""Write modes: rows that meet documents which exist, what is kept of these before, and how a rollback gives it back."""
