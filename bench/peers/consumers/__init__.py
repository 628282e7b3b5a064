"""Plain Kafka consumers of blocks of rows, with tuned bulk requests: Sluice's path without Faust and without jobs."""
