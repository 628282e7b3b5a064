"""What an operator sees at a glance: row errors by reason, rows over time, the installation, the report of a job."""
