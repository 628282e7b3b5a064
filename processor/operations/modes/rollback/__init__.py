"""The rollback of a job that wrote over documents: what to do about each, what was done, and what is left."""
