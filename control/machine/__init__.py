"""The job state machine: `decide` gives events or a rejection, `evolve` the next state. Pure."""
