"""Packages of the distribution; everything else is declared in pyproject.toml."""

from setuptools import find_packages, setup

# Folders at the top that are imported as sub-packages of penstock.
MAPPED_FOLDERS = ("components", "pipelines", "schemas")

PACKAGE_DATA = {
    "": ["py.typed", "*.pbtxt", "*.json", "README.md"],
    "penstock.surfaces.cli": ["templates/**/*", "templates/**/.*"],
    "penstock.report": ["templates/*"],
    "penstock.surfaces.ui": ["templates/*"],
}


def packages() -> list[str]:
    """All packages, the mapped folders under the names by which they are imported."""
    found = find_packages(include=["penstock", "penstock.*"])
    for folder in MAPPED_FOLDERS:
        mapped = f"penstock.{folder}"
        found += [mapped] + [f"{mapped}.{name}" for name in find_packages(where=folder)]
    return sorted(found)


if __name__ == "__main__":
    setup(
        packages=packages(),
        package_dir={f"penstock.{folder}": folder for folder in MAPPED_FOLDERS},
        package_data=PACKAGE_DATA,
    )
