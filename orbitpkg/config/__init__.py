"""Settings: the environment, the project's file, the user's configuration, and the repositories that they name.

This package decides which setting applies and reports where it came from. It reads the environment for all packages
above it. It edits TOML files without losing comments or order. It never contacts a repository: an opened repository
makes its first request when it is used.
"""
