"""Threads: one pool, the gate that limits its requests, and how many cores there are."""
