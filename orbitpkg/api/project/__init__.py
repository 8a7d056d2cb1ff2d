"""What orbitpkg does for a project: one module for each use case around ``orbit.toml`` and ``orbit.lock``."""
