"""What is shown of a node, for a notebook (HTML with inline SVG) and for a terminal alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

_TICKS = "▁▂▃▄▅▆▇█"
_WIDEST_CELL = 60


@dataclass(frozen=True)
class Drawn:
    """A picture, and what stands for it where there are none."""

    svg: Markup
    text: str = ""


Cell = str | Drawn


@dataclass(frozen=True)
class Line:
    """A sentence; `tone` is one of "", "good", "bad" and "quiet"."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """Rows below columns; those of `numbers` are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    numbers: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Figures:
    """Pictures beside each other, each with its title."""

    titles: tuple[str, ...]
    pictures: tuple[Drawn, ...]


@dataclass(frozen=True)
class Section:
    """Blocks below a title; a `folded` one shows them when it is clicked."""

    title: str
    blocks: tuple[Block, ...] = field(default=())
    folded: bool = False


Block = Line | Table | Figures | Section


def to_html(blocks: Sequence[Block], *, styled: bool = True) -> str:
    """Return blocks as HTML that needs nothing from elsewhere."""
    inner = Markup("").join(_html(block) for block in blocks)
    style = Markup("<style>{}</style>").format(STYLE) if styled else ""
    return str(Markup('<div class="penstock">{}{}</div>').format(style, inner))


def _html(block: Block) -> Markup:
    if isinstance(block, Line):
        return Markup('<p class="{}">{}</p>').format(block.tone, block.text)
    if isinstance(block, Table):
        return _html_table(block)
    if isinstance(block, Figures):
        return Markup('<div class="figures">{}</div>').format(
            Markup("").join(
                Markup("<figure><figcaption>{}</figcaption>{}</figure>").format(title, drawn.svg)
                for title, drawn in zip(block.titles, block.pictures, strict=True)
            )
        )
    inner = Markup("").join(_html(part) for part in block.blocks)
    if block.folded:
        return Markup("<details><summary>{}</summary>{}</details>").format(block.title, inner)
    return Markup("<section><h4>{}</h4>{}</section>").format(block.title, inner)


def _html_table(table: Table) -> Markup:
    def cell(tag: str, column: int, content: Cell) -> Markup:
        value = content.svg if isinstance(content, Drawn) else content
        kind = Markup(' class="n"') if column in table.numbers else ""
        scope = Markup(' scope="row"') if tag == "th" and kind == "" else ""
        return Markup("<{t}{k}{s}>{c}</{t}>").format(t=tag, k=kind, s=scope, c=value)

    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(
            Markup(' class="n"') if n in table.numbers else "", name
        )
        for n, name in enumerate(table.columns)
    )
    rows = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(cell("td" if n else "th", n, c) for n, c in enumerate(row))
        )
        for row in table.rows
    )
    caption = Markup("<caption>{}</caption>").format(table.caption) if table.caption else ""
    return Markup(
        '<div class="wide"><table>{}<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(caption, head, rows)


def to_text(blocks: Sequence[Block], indent: str = "") -> str:
    """Return blocks as plain text."""
    return "\n".join(line for block in blocks for line in _text(block, indent))


def _text(block: Block, indent: str) -> list[str]:
    if isinstance(block, Line):
        return [indent + line for line in block.text.splitlines()]
    if isinstance(block, Table):
        return [indent + line for line in _text_table(block)]
    if isinstance(block, Figures):
        pairs = zip(block.titles, block.pictures, strict=True)
        return [f"{indent}{title}: {drawn.text}" for title, drawn in pairs]
    lines = [f"{indent}{block.title}"]
    for part in block.blocks:
        lines += _text(part, indent + "  ")
    return lines


def _text_table(table: Table) -> list[str]:
    rows = [table.columns, *([_plain(cell) for cell in row] for row in table.rows)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(table.columns))]
    lines = [table.caption] if table.caption else []
    for row in rows:
        cells = [
            cell.rjust(width) if n in table.numbers else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _plain(cell: Cell) -> str:
    text = cell.text if isinstance(cell, Drawn) else cell
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= _WIDEST_CELL else f"{text[: _WIDEST_CELL - 1]}…"


def sparkline(heights: Sequence[float], most: int = 20) -> str:
    """Return bars of a histogram as characters."""
    heights = list(heights)[:most]
    tallest = max(heights, default=0.0)
    if not tallest:
        return ""
    last = len(_TICKS) - 1
    return "".join(_TICKS[round(height / tallest * last)] for height in heights)


# Text takes the notebook's own color; what is drawn stands out on white and on black.
STYLE = Markup(
    """
.penstock{--accent:#1f8a99;--good:#2b8a4b;--bad:#d9483b;--line:rgba(128,128,128,.35);
--c0:#1f8a99;--c1:#c8642a;--c2:#7d68d8;--c3:#a08414;--c4:#c2478b;--c5:#5b8c2f;
font-size:13px;line-height:1.45;font-variant-numeric:tabular-nums;max-width:72rem}
.penstock p{margin:.3em 0;white-space:pre-wrap;overflow-wrap:anywhere}
.penstock p.quiet,.penstock caption,.penstock thead th,.penstock figcaption{opacity:.75}
.penstock p.good{border-left:4px solid var(--good);padding-left:.6em}
.penstock p.bad{border-left:4px solid var(--bad);padding-left:.6em}
.penstock h4{font-size:1.05em;margin:.9em 0 .3em}
.penstock details{margin:.5em 0}.penstock summary{cursor:pointer}
.penstock .wide{overflow-x:auto;max-width:100%}
.penstock table{border-collapse:collapse;border:0;margin:.3em 0;font-size:1em;color:inherit}
.penstock caption{text-align:left;padding:.2em 0}
.penstock th,.penstock td{text-align:left;vertical-align:top;padding:.25em .9em .25em 0;border:0;
border-bottom:1px solid var(--line);background:none;font-weight:400;max-width:28em;
overflow-wrap:anywhere;white-space:pre-line}
.penstock tbody th{font-weight:600;white-space:nowrap}
.penstock .n{text-align:right;white-space:nowrap}
.penstock .figures{display:flex;flex-wrap:wrap;gap:1em}.penstock figure{margin:.3em 0}
.penstock svg{display:block;overflow:visible}
.penstock .bars{fill:var(--accent)}
.penstock .axis,.penstock .grid{stroke:var(--line);fill:none}
.penstock .interval{min-width:12em}
.penstock .whisker{stroke:var(--accent);stroke-width:1.5}.penstock .dot{fill:var(--accent)}
.penstock .baseline{fill:none;stroke:currentColor;stroke-opacity:.7}
.penstock .threshold{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:3 2}
.penstock .tick{fill:currentColor;fill-opacity:.75;font-size:11px}
.penstock .end{text-anchor:end}.penstock .middle{text-anchor:middle}
.penstock .line{fill:none;stroke-width:2}
.penstock .line-0{stroke:var(--c0)}.penstock .line-1{stroke:var(--c1)}
.penstock .line-2{stroke:var(--c2)}.penstock .line-3{stroke:var(--c3)}
.penstock .line-4{stroke:var(--c4)}.penstock .line-5{stroke:var(--c5)}
.penstock .legend{list-style:none;display:flex;flex-wrap:wrap;gap:.2em 1em;padding:0;margin:.2em 0}
.penstock .legend svg{display:inline-block;vertical-align:middle}
"""
)
