"""The flavors of models that come with Penstock, a module each."""
