"""Who uses the page: sign-in, sessions, the provider of identities, keys."""
