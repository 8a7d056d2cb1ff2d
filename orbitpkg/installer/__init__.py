"""Installing releases: planning, fetching, checking, making them visible, and repairing them."""
