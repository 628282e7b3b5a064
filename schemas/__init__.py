"""Every message that crosses a topic, the datasets, the topics and the indices: data only, no I/O and no clock."""
