"""Features: columns made of columns, with what was learned of the training data kept as data."""
