"""A server of ML Metadata's own service API."""
