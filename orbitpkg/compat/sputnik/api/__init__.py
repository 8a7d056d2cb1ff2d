"""Sputnik's functions, classes, exceptions and command line, implemented with orbitpkg."""
