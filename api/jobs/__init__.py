"""What is done with jobs, one module a use case: for REST and for the page alike."""
