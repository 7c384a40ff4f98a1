"""A page over a metadata store, for one person on one machine: runs, artifacts, comparisons."""
