"""The process that has a model: it reads questions, asks the model about all at once, answers."""
