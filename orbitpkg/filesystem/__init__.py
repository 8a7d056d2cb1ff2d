"""Packages by ``orbit://`` address: the fsspec file system and what it reads from."""
