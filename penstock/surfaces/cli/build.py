"""Building the image in which pods run."""

from __future__ import annotations

import click

from penstock.surfaces.cli.options import json_option, profile_option, project_config
from penstock.surfaces.cli.printing import echo, echo_json


@click.command()
@profile_option
@click.option("--push", is_flag=True, help="Push the image to its registry.")
@click.option(
    "--image", "name", help="The image's name; by default the profile's, or the folder's."
)
@click.option("--tag", help="A tag in place of the digest of what the image is made from.")
@click.option("--engine", "engine_name", help="docker or podman; by default the one there is.")
@click.option("--base-image", help="The Debian to build upon; by default debian:trixie-slim.")
@click.option(
    "--extra",
    "extras",
    multiple=True,
    help="An extra of Penstock to install; may be repeated. By default s3 and gcs.",
)
@click.option(
    "--core", "is_core", is_flag=True, help="A small image, for nodes that need no TensorFlow."
)
@click.option("--from", "penstock_image", help="An image with Penstock to add the project to.")
@json_option
@click.pass_context
def build(
    context: click.Context,
    profile_name: str | None,
    push: bool,
    name: str | None,
    tag: str | None,
    engine_name: str | None,
    base_image: str | None,
    extras: tuple[str, ...],
    is_core: bool,
    penstock_image: str | None,
    as_json: bool,
) -> None:
    """Build the image in which a cluster runs this project, and push it.

    Its tag is a digest of the code and the lock: what is there is not built again. With --core
    TensorFlow and what is built on it are left out; the profile's core_image is the image of nodes
    that need no more.

    \b
    Examples:
      penstock build --profile cluster --push
      penstock build --profile cluster --push --core
    """
    from penstock.runners.kubeflow.image import building as images
    from penstock.runners.kubeflow.image.engine import find_engine, repository_of

    config = project_config(context)
    profile = config.profile(profile_name)
    options = profile.kubeflow
    key = "core_image" if is_core else "image"
    in_use = getattr(options, key, "")
    named = in_use or (options.image if options else "")
    of_profile = repository_of(named) if named else ""
    request = images.ImageRequest(
        project=config.folder,
        repository=name or of_profile or images.repository_name(config.folder.resolve().name),
        tag=tag,
        project_folder=options.project_folder if options else "/app",
        base_image=base_image or images.BASE_IMAGE,
        extras=(*(() if is_core else images.FULL), *(extras or images.EXTRAS)),
        penstock_image=penstock_image,
    )

    def tell(text: str) -> None:
        echo(text, err=True)

    built = images.build_image(find_engine(engine_name), request, tell=tell, push=push)
    reference = built.digest_reference or built.reference
    if as_json:
        content = {
            "image": reference,
            "id": built.image_id,
            "bytes": built.size,
            "new": built.is_new,
        }
        echo_json(content)
        return
    state = "built" if built.is_new else "there already"
    echo(f"{built.reference}  {state}, {built.size / 1e6:,.0f} MB", err=True)
    echo(reference)
    if in_use != reference:
        table = f"profiles.{profile.name}.kubeflow"
        echo(f'in penstock.toml, [{table}]: {key} = "{reference}"', err=True)
    if built.digest_reference is None:
        echo("it is on this machine alone; --push takes it to its registry", err=True)
