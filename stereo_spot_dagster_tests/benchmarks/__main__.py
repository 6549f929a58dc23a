"""Runs every benchmark, prints the tables, and writes one JSON file for each into a folder.

python -m stereo_spot_dagster_tests.benchmarks FOLDER [NAME ...]
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from .report import Table, print_tables, write_json

BENCHMARKS = ("warp", "quality", "soft_depth", "depth", "models", "sensors", "media", "conversion")


def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or BENCHMARKS:
        tables = tables_of(name, folder)
        print_tables(tables)
        write_json(folder / f"{name}.json", [row for table in tables for row in table.rows])


def tables_of(name: str, folder: Path) -> list[Table]:
    """What the benchmark ``name`` has to show; nothing, and a word why, where torch is not installed but needed.

    Args:
        name: one of :data:`BENCHMARKS`.
        folder: where it may leave files beside its numbers.
    """
    if name not in BENCHMARKS:
        raise SystemExit(f"there is no benchmark '{name}'; choose from {', '.join(BENCHMARKS)}")
    try:
        return import_module(f".{name}", __package__).tables(folder)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "diffusers", "transformers"):
            raise
        print(f"{name}: left out, it needs the 'models' extra ({error.name} is not installed)")
        return []


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
