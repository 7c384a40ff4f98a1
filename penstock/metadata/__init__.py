"""ML Metadata: connections to a store, and reading runs and lineage from it."""
