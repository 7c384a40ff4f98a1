"""A project's daemon: a process that lends runs copies of itself, with heavy modules imported."""
