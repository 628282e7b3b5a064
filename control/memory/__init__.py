"""How a process keeps the jobs that have ended, of which there may be a hundred thousand. Pure."""
