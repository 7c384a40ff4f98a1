"""One node: resolve its inputs, ask the cache, do its work, publish what it made.

The same code wherever a node runs. `nodes` talks to ML Metadata; `work` is what a worker process
does and knows nothing of it.
"""
