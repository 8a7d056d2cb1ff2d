"""Settings files, the environment, and the repositories they name."""
