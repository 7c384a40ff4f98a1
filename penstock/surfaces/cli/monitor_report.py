"""What a monitor saw, as a file to keep or to send."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from penstock.errors import ParameterError, StorageError, suggestion
from penstock.surfaces.cli.completion import MONITOR
from penstock.surfaces.cli.monitor_run import monitored, window_key
from penstock.surfaces.cli.options import json_option
from penstock.surfaces.cli.printing import echo, echo_json, unread_output


@click.command()
@click.argument("name", metavar="NAME", type=MONITOR)
@click.option(
    "--window",
    metavar="WINDOW",
    help="One window alone, by when it begins, as 2026-05-01T00:00Z.",
)
@click.option(
    "--last",
    type=click.IntRange(1),
    metavar="N",
    help="The last N windows; 30 by default.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write; by default monitor-NAME.html in this folder.",
)
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
@json_option
@click.pass_context
def report(
    context: click.Context,
    name: str,
    window: str | None,
    last: int | None,
    output: Path | None,
    opens: bool,
    as_json: bool,
) -> None:
    """Write what a monitor saw in its last windows, or in one, as one HTML file.

    The file needs nothing else: it can be sent. It is made from the store and from what is left of
    the reports of the windows; nothing is judged.

    \b
    Examples:
      penstock monitor report flights --open
      penstock monitor report flights --window 2026-05-01T00:00Z -o may.html
    """
    from penstock.metadata.store import connect
    from penstock.operations.monitors.seen import look
    from penstock.report.monitor_page import page
    from penstock.report.wording import from_here

    if window is not None and last is not None:
        raise ParameterError("expected --window or --last, got both")
    [one] = monitored(context, (name,), quiet=True)
    now, key = datetime.now(UTC), window_key(window) if window is not None else ""
    with connect(one.connection) as metadata:
        seen = look(metadata.store, name, now, last=last or 30, window=key)
        if not seen.windows:
            _refuse(name, key, [w.window.key for w in look(metadata.store, name, now).windows])
    of_window = f"-{key.replace(':', '')}" if key else ""
    path = output or Path(f"monitor-{name}{of_window}.html")
    try:
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(seen, now), encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {path}: {error.strerror}",
            path=str(path),
            hint=f"Name another file: penstock monitor report {name} -o FILE.",
        ) from error
    if as_json:
        keys = [each.window.key for each in seen.windows]
        content = {"monitor": name, "path": str(path.absolute()), "windows": keys}
        with unread_output():
            echo_json(content)
    else:
        echo(from_here(str(path)))
    if opens:
        click.launch(path.absolute().as_uri())


def _refuse(name: str, key: str, known: list[str]) -> None:
    if not known:
        raise ParameterError(
            f"no window of {name} was judged yet", hint=f"Judge them: penstock monitor run {name}."
        )
    raise ParameterError(
        f"no window {key} of {name} was judged", hint=suggestion(key, known, noun="window")
    )
