"""The image in which pods run."""
