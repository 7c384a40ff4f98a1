"""The documentation's build: `make docs`. The pages are Markdown, also for code hosts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import Directive

project = "Penstock"
author = "The Penstock developers"
# The folder that is read is the project's, so that pages can link to those of components.
root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "components/*/README.md",
    "pipelines/*/README.md",
    "notebooks/README.md",
]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Penstock"
# Docstrings write `names` so.
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
# Defaults as the source has them: the values of some are long.
autodoc_preserve_defaults = True


class Commands(Directive):
    """`{penstock-commands}`: what each command says of itself."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each command, with its help."""
        from penstock.surfaces.cli.main import COMMANDS, penstock

        sections = []
        for name in COMMANDS:
            command = penstock.get_command(click.Context(penstock), name)
            context = click.Context(command, info_name=f"penstock {name}", max_content_width=90)
            section = nodes.section(ids=[name])
            section += nodes.title(text=name)
            text = command.get_help(context)
            section += nodes.literal_block(text, text, language="text")
            for inner in command.list_commands(context) if _is_group(command) else ():
                text = _help_of(command.get_command(context, inner), f"{context.info_name} {inner}")
                section += nodes.literal_block(text, text, language="text")
            sections.append(section)
        return sections


def _is_group(command: click.Command) -> bool:
    return isinstance(command, click.Group)


def _help_of(command: click.Command, name: str) -> str:
    return command.get_help(click.Context(command, info_name=name, max_content_width=90))


def leave_folders_unlinked(app: Any, name: str, content: list[str]) -> None:
    """Take links to folders of the project, which are no pages, out of a page's source."""
    folder = Path(app.env.doc2path(name)).parent

    def name_alone(link: re.Match[str]) -> str:
        return link[1] if (folder / link[2]).is_dir() else link[0]

    content[0] = re.sub(r"\[([^\]]+)\]\(([^)#:]+)\)", name_alone, content[0])


def setup(app: Any) -> None:
    """Register what is ours."""
    app.add_directive("penstock-commands", Commands)
    app.connect("source-read", leave_folders_unlinked)
