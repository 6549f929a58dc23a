"""What a benchmark reports, and how it is shown and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table as RichTable


@dataclass(frozen=True)
class Row:
    """One number of a benchmark.

    Attributes:
        name: what it is a number of.
        value: the number.
        unit: its unit.
        note: a remark where it needs one.
        column: which number it is, where a table shows several numbers for one name side by side.
    """

    name: str
    value: float
    unit: str
    note: str = ""
    column: str = ""


@dataclass(frozen=True)
class Table:
    """Rows that are shown together.

    Attributes:
        title: printed above them.
        rows: all with a ``column``, or all without.
        remarks: printed under them, a line each: how it was measured, or what it was calculated from.
    """

    title: str
    rows: Sequence[Row]
    remarks: tuple[str, ...] = ()


def print_tables(tables: Sequence[Table]) -> None:
    """Print each table on standard output."""
    for table in tables:
        if any(row.column for row in table.rows):
            _print_side_by_side(table)
        else:
            print_table(table.title, table.rows)
        for remark in table.remarks:
            Console().print(f"  {remark}", markup=False, highlight=False)


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print ``rows`` as a table on standard output, a line each."""
    table = RichTable(title=title)
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("note")
    for row in rows:
        table.add_row(row.name, f"{row.value:,.2f}", row.unit, row.note)
    Console().print(table)


def _print_side_by_side(table: Table) -> None:
    shown = RichTable(title=table.title)
    shown.add_column("what")
    columns = {row.column: row.unit for row in table.rows}
    for column, unit in columns.items():
        shown.add_column(f"{column}, {unit}" if unit else column, justify="right")
    shown.add_column("note")
    for name in dict.fromkeys(row.name for row in table.rows):
        values = {row.column: f"{row.value:,.3f}" for row in table.rows if row.name == name}
        notes = dict.fromkeys(row.note for row in table.rows if row.name == name and row.note)
        shown.add_row(name, *[values.get(column, "") for column in columns], "; ".join(notes))
    Console().print(shown)


def write_json(path: Path, rows: Sequence[Row]) -> None:
    """Write ``rows`` to ``path`` as a JSON list of objects."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
