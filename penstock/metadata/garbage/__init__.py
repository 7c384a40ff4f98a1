"""What runs have left and nobody needs."""
