"""Pages of what an operator sees at a glance, with the functions of `api/glance/`."""
