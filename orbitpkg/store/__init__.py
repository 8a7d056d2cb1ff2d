"""The local store: where releases are installed, for all apps and processes of a user or a group.

``package`` is what apps use and imports next to nothing; ``layout`` names the places; ``store`` changes what is in
them; ``durable`` is how bytes get to the disk and stay there.
"""

__all__: list[str] = []
