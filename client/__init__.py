"""The command-line client of the REST API. Heavy packages are imported where they are used: most commands are quick."""
