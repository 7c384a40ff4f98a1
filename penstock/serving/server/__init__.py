"""The server: HTTP on one side, workers on the other, and between them who gets which answer."""
