"""What a benchmark reports, and how it is shown and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One number of a benchmark, with its unit and, where it needs one, a remark."""

    name: str
    value: float
    unit: str
    note: str = ""


def print_table(title: str, rows: Sequence[Row]) -> None:
    """Print ``rows`` as a table on standard output."""
    table = Table(title=title)
    table.add_column("what")
    table.add_column("value", justify="right")
    table.add_column("unit")
    table.add_column("note")
    for row in rows:
        table.add_row(row.name, f"{row.value:,.2f}", row.unit, row.note)
    Console().print(table)


def write_json(path: Path, rows: Sequence[Row]) -> None:
    """Write ``rows`` to ``path`` as a JSON list of objects."""
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
