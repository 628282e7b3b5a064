"""Keys, roles and organisations: who may do what. Pure."""
