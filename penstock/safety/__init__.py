"""What keeps secrets, paths and foreign data where they belong."""
