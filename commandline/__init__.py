"""The commands of `sluice` that talk to the API. Heavy packages are imported where they are used: most are quick."""
