"""The picture of all jobs, folded from the topics, and the way to append a command and await its effect."""
