"""Where messages about alerts go, a module each."""
