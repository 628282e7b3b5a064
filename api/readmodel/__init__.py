"""The view: all jobs as the topics have them; and the way to append a command and await its effect."""
