"""The operator's page: HTML for people, made by the same functions that answer REST."""
