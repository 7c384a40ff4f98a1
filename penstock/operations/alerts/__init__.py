"""Alerts: what measures mean, who is told of it and who is not, and that nobody is told twice."""
