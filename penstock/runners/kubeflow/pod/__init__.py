"""A node's life in its pod."""
