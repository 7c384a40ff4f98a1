"""penstock.toml, under its public name."""

from penstock.project.config import Config, Profile, find_config, read_config

__all__ = ["Config", "Profile", "find_config", "read_config"]
