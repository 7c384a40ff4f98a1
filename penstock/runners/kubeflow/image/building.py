"""Building the image in which pods run: Penstock with its lock, and a project on top.

An image's tag is a digest of all that it is made from, so the same content has the same tag, and
an image that is there is not built again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import penstock
from penstock.errors import ImageError
from penstock.runners.kubeflow.image.build_context import NEVER, BuildContext, read_context
from penstock.runners.kubeflow.image.engine import Engine, pushed_as

BASE_IMAGE = "debian:trixie-slim"
EXTRAS = ("s3", "gcs")
# What the image has beyond these, unless it is to be the core's.
FULL = ("tfx",)
_TAG_LENGTH = 16
_LARGE_BYTES = 100_000_000

Tell = Callable[[str], None]


@dataclass(frozen=True)
class ImageRequest:
    """What an image is to have in it, and what it is to be called.

    `project` is the folder with penstock.toml, `project_folder` its place in the image.
    `repository` is the image's name without a tag; `tag` replaces the digest of its content.
    `penstock_image` is an image with Penstock to build upon, in place of one from the sources.
    """

    project: Path
    repository: str
    tag: str | None = None
    project_folder: str = "/app"
    base_image: str = BASE_IMAGE
    extras: tuple[str, ...] = (*FULL, *EXTRAS)
    penstock_image: str | None = None


@dataclass(frozen=True)
class Image:
    """An image that the engine has; `digest_reference` only if it was pushed."""

    reference: str
    image_id: str
    size: int
    is_new: bool
    digest_reference: str | None = None


def build_image(engine: Engine, request: ImageRequest, *, tell: Tell, push: bool = False) -> Image:
    """Build an image, and push it if asked to; what is there already is not made again.

    Raises:
      ImageError: it cannot be built or pushed, or there is nothing to build it from.
    """
    sources = sources_folder()
    if sources == request.project.resolve() and request.penstock_image is None:
        recipe = _recipe_of_penstock(request.project, request)
    else:
        recipe = _recipe_of_project(engine, request, sources, tell)
    reference = f"{request.repository}:{request.tag or recipe.digest()[:_TAG_LENGTH]}"
    is_new = _make(engine, recipe, reference, tell, again=request.tag is not None)
    details = engine.find(reference) or {}
    digest_reference = pushed_as(details, request.repository)
    if push and (is_new or digest_reference is None):
        digest_reference = engine.push(reference)
    return Image(
        reference, str(details.get("Id", "")), int(details.get("Size", 0)), is_new, digest_reference
    )


def sources_folder() -> Path | None:
    """Return the folder of Penstock's sources, None if it was installed without them."""
    folder = Path(penstock.__file__).resolve().parents[1]
    return folder if (folder / "build" / "Dockerfile").is_file() else None


@dataclass(frozen=True)
class _Recipe:
    """What an image is made from."""

    context: BuildContext
    dockerfile: Path
    arguments: Mapping[str, str]

    def digest(self) -> str:
        recipe = self.dockerfile.read_text(encoding="utf-8")
        return self.context.digest(recipe, *(f"{k}={v}" for k, v in sorted(self.arguments.items())))


def _recipe_of_penstock(sources: Path, request: ImageRequest) -> _Recipe:
    arguments = {"BASE_IMAGE": request.base_image, "EXTRAS": " ".join(request.extras)}
    return _Recipe(read_context(sources), sources / "build" / "Dockerfile", arguments)


def _recipe_of_project(
    engine: Engine, request: ImageRequest, sources: Path | None, tell: Tell
) -> _Recipe:
    below = request.penstock_image
    if below is None:
        if sources is None:
            raise ImageError(
                "Penstock was installed without its sources, from which its image is built",
                hint="Install it from a clone (pip install --editable), or name an image that has "
                "it: penstock build --from IMAGE.",
            )
        recipe = _recipe_of_penstock(sources, request)
        below = f"penstock:{recipe.digest()[:_TAG_LENGTH]}"
        _make(engine, recipe, below, tell)
    own = request.project / "Dockerfile"
    default = (sources or Path()) / "build" / "project.Dockerfile"
    if not own.is_file() and not default.is_file():
        raise ImageError(
            f"there is no Dockerfile in {request.project}",
            hint="Write one that begins with: ARG PENSTOCK_IMAGE, and FROM ${PENSTOCK_IMAGE}.",
        )
    context = read_context(request.project, NEVER)
    if context.size > _LARGE_BYTES:
        tell(
            f"the project's files come to {context.size / 1e6:,.0f} MB, the largest is "
            f"{context.largest()}: what pods do not need is left out by {request.project}/"
            ".dockerignore"
        )
    arguments = {"PENSTOCK_IMAGE": below, "PROJECT_FOLDER": request.project_folder}
    return _Recipe(context, own if own.is_file() else default, arguments)


def _make(
    engine: Engine, recipe: _Recipe, reference: str, tell: Tell, *, again: bool = False
) -> bool:
    """Build what a recipe says, if the engine has it not; a name that is no digest is made anew."""
    if not again and engine.find(reference) is not None:
        return False
    tell(f"building {reference}")
    with tempfile.TemporaryDirectory(prefix="penstock-build-") as folder:
        recipe.context.copy_to(Path(folder, "context"))
        dockerfile = Path(folder, "Dockerfile")
        dockerfile.write_bytes(recipe.dockerfile.read_bytes())
        Path(folder, "context").mkdir(exist_ok=True)
        engine.build(Path(folder, "context"), dockerfile, reference, recipe.arguments)
    return True


def repository_name(text: str) -> str:
    """Return a text as the name of an image: lower case, and what may stand in one."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "pipelines"
