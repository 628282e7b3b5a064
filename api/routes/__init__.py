"""The routes of REST: each module has handlers and their declarations. Only the app imports them."""
