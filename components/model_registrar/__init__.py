"""ModelRegistrar: make a model that passed its checks a version of a registered model."""
