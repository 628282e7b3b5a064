"""Who calls: keys, sessions, wrong attempts, and what of it is recorded."""
