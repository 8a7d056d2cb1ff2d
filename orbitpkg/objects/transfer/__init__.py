"""Downloads and uploads of single objects: parallel, resumable, all or nothing."""
