"""Tables of a result, for a terminal and for Markdown."""

from collections.abc import Iterator
from typing import TypeAlias

from rich.console import Console
from rich.table import Table
from rich.text import Text

from std_benchmarks.figure import Figure
from std_benchmarks.result import Result

Row: TypeAlias = tuple[str, str, str, str, str, str]

HEADINGS: Row = ("figure", "measured", "reference", "ratio (lowest to highest)", "target", "")
_VERDICTS = {None: "", True: "met", False: "missed"}
_COLOURS = {None: "default", True: "green", False: "red"}
_HUNDRED = 100


def number(value: float) -> str:
    """Return a number with three digits that count."""
    if abs(value) < _HUNDRED:
        return f"{value:.3g}"
    return f"{float(f'{value:.3g}'):,.0f}"


def row(figure: Figure) -> Row:
    """Return the cells of a figure."""
    ratio = ""
    if figure.references:
        ratio = number(figure.judged)
    lowest, highest = (number(value) for value in figure.spread)
    spread = f" ({lowest} to {highest})" if len(figure.ours) > 1 else ""
    measured = f"{number(figure.value)} {figure.unit}"
    reference = ""
    if figure.reference_value is not None:
        reference = f"{number(figure.reference_value)} ({figure.reference})"
        ratio += spread
    else:
        measured += spread
    return figure.name, measured, reference, ratio, str(figure.target or ""), _VERDICTS[figure.is_met]


def print_result(result: Result, console: Console) -> None:
    """Print all figures, and what failed."""
    table = Table(*HEADINGS, title=f"{result.machine['processor']}, {result.machine['cores']} cores, {result.started}")
    for figures in result.figures.values():
        for figure in figures:
            *cells, verdict = row(figure)
            table.add_row(*map(Text, cells), Text(verdict, _COLOURS[figure.is_met]))
        table.add_section()
    console.print(table)
    for name, reason in result.failures.items():
        console.print(Text(f"{name} failed: {reason}", "red"))


def comparisons(result: Result, earlier: Result) -> Iterator[tuple[str, str, str, str]]:
    """Compare what two runs have in common: name, then, now, and now to then."""
    then_by_name = {figure.name: figure for figure in earlier.all_figures()}
    for figure in result.all_figures():
        then = then_by_name.get(figure.name)
        if then is None or bool(then.references) != bool(figure.references):
            continue
        what = "x" if figure.references else figure.unit
        change = figure.judged / then.judged if then.judged else float("nan")
        yield figure.name, f"{number(then.judged)} {what}", f"{number(figure.judged)} {what}", f"{change:.2f}"


def print_comparison(result: Result, earlier: Result, console: Console) -> None:
    """Print what two runs have in common; figures with a reference by their ratio to it."""
    table = Table("figure", f"then ({earlier.started})", "now", "now / then", title="compared with an earlier run")
    for cells in comparisons(result, earlier):
        table.add_row(*map(Text, cells))
    console.print(table)
    differences = [
        f"{key}: {earlier.machine.get(key)} then, {value} now"
        for key, value in result.machine.items()
        if key != "load_before" and earlier.machine.get(key) != value
    ]
    if differences:
        console.print(Text("The machines differ: " + "; ".join(differences), "yellow"))


def to_markdown(result: Result) -> str:
    """Return all figures as a table in Markdown, below a line about the machine."""
    machine = result.machine
    described = (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['kernel']}, "
        f"{machine['file_system']}, Python {machine['python']}, numba {machine.get('numba')}, {result.started}"
    )
    lines = [
        described,
        "",
        _markdown_row(HEADINGS),
        "|---" * len(HEADINGS) + "|",
        *(_markdown_row(row(figure)) for figure in result.all_figures()),
    ]
    return "\n".join(lines) + "\n"


def _markdown_row(cells: Row) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
