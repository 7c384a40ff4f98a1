"""penstock.toml, under its public name."""

from penstock.project.config import Config, find_config, read_config
from penstock.project.profiles import Profile

__all__ = ["Config", "Profile", "find_config", "read_config"]
