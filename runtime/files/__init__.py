"""Files that processes share: the storage, digests, sealing of blocks with a key of their job."""
