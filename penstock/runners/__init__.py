"""Where pipelines run: on this machine (`local`) or on Kubeflow."""
