"""Sputnik's own names and calls, on top of orbitpkg's."""
