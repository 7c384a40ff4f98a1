"""Parts of work, done at the same time."""
