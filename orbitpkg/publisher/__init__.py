"""Publishing a release: planning, uploading, reusing what the bucket has, committing."""
