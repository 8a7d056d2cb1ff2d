"""What orbitpkg does, one module for each use case. The command line and ``import orbitpkg`` both call these."""
