"""What every test may use."""

from __future__ import annotations

__all__ = ["pytest_plugins"]

pytest_plugins = ["tests.servers.fixtures"]
