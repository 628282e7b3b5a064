"""Events about jobs for receivers elsewhere: what is sent to whom, how it is signed, when it is tried again. Pure."""
