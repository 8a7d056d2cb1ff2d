"""Options that several commands about remote files have."""

from __future__ import annotations

import click

__all__ = ["dry_run_option", "offline_option", "recursive_option"]

offline_option = click.option("--offline", is_flag=True, help="Use no network. ORBITPKG_OFFLINE=1 does the same.")
recursive_option = click.option("-R", "--recursive", is_flag=True, help="Take all that is below a folder.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
