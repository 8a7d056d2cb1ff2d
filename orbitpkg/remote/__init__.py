"""Objects of a bucket as if they were local files: opened, written, listed, copied; cached, and there offline."""
