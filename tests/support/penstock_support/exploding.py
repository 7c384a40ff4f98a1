"""A module that does not import, and not for want of another."""

raise RuntimeError("this module is broken")
