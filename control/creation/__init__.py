"""The rules of a new job: admission, kinds, quotas, repeats, the same file twice, inspection before the first row."""
