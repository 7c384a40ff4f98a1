"""Arrow to tf.Examples and back."""
