"""Runs every benchmark, prints the tables, and writes one JSON file for each into a folder.

python -m stereo_spot_dagster_tests.benchmarks FOLDER [NAME ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

from . import conversion, depth, sensors, warp
from .report import print_table, write_json

BENCHMARKS = {"warp": warp.run, "depth": depth.run, "sensors": sensors.run, "conversion": conversion.run}


def main(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or list(BENCHMARKS):
        rows = BENCHMARKS[name]()
        print_table(name, rows)
        write_json(folder / f"{name}.json", rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
