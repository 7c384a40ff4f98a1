"""How components and pipelines are written: `@component` and `@pipeline`."""
