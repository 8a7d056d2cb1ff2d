"""Other package managers' APIs over this one, for apps that are not to be rewritten."""
