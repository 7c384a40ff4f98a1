"""What components write for people to look at: statistics, anomalies, evaluations, curves."""
