"""Single objects to and from local files: parallel, resumable, all or nothing."""
