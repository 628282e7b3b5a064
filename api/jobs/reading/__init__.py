"""Reading jobs: views, lists, row errors, changes, history, event streams, downloads."""
