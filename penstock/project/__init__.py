"""A project: penstock.toml, its profiles, and the user's code."""
