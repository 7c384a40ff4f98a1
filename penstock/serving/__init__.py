"""Serving models: workers that answer, the protocols they are asked in, and who gets which answer.

What serves depends on no store: it goes on with what it knows when registry, controller or
monitoring are away.
"""
