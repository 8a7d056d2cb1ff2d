"""This machine's file system: atomic writes, durability, modes, and one translation of its errors."""
