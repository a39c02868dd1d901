"""A web page on this machine to try a model and to review label issues (`tropho app`)."""
