"""The local store: releases that are installed for all apps of a user or a group.

A release is visible only after every byte of it was verified, and from then on it does not change. The store does not
know repositories: it never uses the network. ``package`` and ``project`` are what an app imports at its start, and
import almost nothing; ``layout`` defines the paths; ``store`` changes what is in them.
"""

__all__: list[str] = []
