"""What is seen of a process from outside: its metrics, its log events, its traces."""
