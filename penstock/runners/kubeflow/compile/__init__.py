"""From IR to what Kubeflow Pipelines takes."""
