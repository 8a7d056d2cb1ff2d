"""Requirements -> releases, and why not."""

__all__: list[str] = []
