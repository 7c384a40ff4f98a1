"""The databases and servers that a store can be in, and ML Metadata's client of them."""
