"""What `migrate` makes, alters and reports, of topics and of indices."""
