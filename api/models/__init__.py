"""What the API takes and answers with, as structs: the JSON of REST, and the source of its OpenAPI schemas."""
