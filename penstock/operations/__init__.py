"""What is done with pipelines once they stand: each kind of it has a room."""
