"""Monitors: which windows of a log are to be judged, judging them, and what came of it."""
