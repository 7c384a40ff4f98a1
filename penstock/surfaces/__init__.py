"""Where people meet a pipeline: the command line, notebooks, the live page."""
