"""The exit codes of the program."""

from __future__ import annotations

__all__ = ["BUG", "FAILED", "INTERRUPTED", "USAGE"]

FAILED = 1
"""An expected failure, such as a missing package."""

USAGE = 2
"""Wrong usage: an unknown option, an invalid name."""

BUG = 70
"""A bug in orbitpkg: EX_SOFTWARE of sysexits.h."""

INTERRUPTED = 130
"""Ctrl-C, as shells report it: 128 and the number of SIGINT."""
