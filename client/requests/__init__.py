"""What can be asked of the API: each function gives the steps of one request, or of several."""
