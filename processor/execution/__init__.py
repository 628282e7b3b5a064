"""How jobs are carried out: batches of blocks, what is done once for a job, and whose error an error is."""
