"""How things are said to people: sentences, numbers, tables, reports, and what a terminal can show."""
