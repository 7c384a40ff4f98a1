"""What the compiling machine and the pods must both know."""
