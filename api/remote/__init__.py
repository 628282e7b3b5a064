"""Files that lie elsewhere, at an address that a job names: which may be read, and how they are fetched."""
