"""Making jobs: requests, forms, drafts, estimates, jobs from the file of another, retries of row errors."""
