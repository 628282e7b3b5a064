"""Kibana dashboards of jobs, progress and row errors, as code; and the command that imports them."""
