"""Forms that start jobs, with the columns of a file and the estimate of an export."""
