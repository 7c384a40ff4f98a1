"""Kubeflow Pipelines v2: compiling for it, what runs in its pods, submitting to it."""
