"""Taking in a file: from the body, or from an import folder."""
