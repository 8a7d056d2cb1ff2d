"""Threads: the pool for all parallel work, the gate that limits requests, and the number of usable cores."""
