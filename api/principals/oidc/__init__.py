"""Callers whom an OpenID provider vouches for."""
