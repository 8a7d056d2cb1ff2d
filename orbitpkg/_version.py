"""The one place that says which version of orbitpkg this is."""

__version__ = "0.1.0"
