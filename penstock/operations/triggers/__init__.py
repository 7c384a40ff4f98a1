"""Triggers: what starts runs when something happens, once, and says why it did or did not."""
