"""Which processes run, and who starts them again."""
