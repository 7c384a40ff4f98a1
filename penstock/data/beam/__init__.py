"""Jobs of Apache Beam: what they are asked with, and how they are run, watched and ended."""
