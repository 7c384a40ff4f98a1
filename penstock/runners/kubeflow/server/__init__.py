"""A Kubeflow Pipelines server: submitting, watching, scheduling."""
