"""What grows with the work and what must not: workers, rows, jobs at once, the jobs in the table, an idle stack."""
