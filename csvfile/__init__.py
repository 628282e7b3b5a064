"""How a CSV file is read: its header, its rows, its line ends. One way for every process, in memory alone."""
