"""Tables of runs: rows that are computed once, in any order, and kept in one JSON file."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ued_core.assets import asset
from ued_core.results.row import ResultRow, stored_rows, table_text

RESULTS = asset("results")


def store(path: Path, row: ResultRow, name_of: Callable[[ResultRow], Hashable], order: Sequence[Hashable]) -> None:
    """Add one row to the file, in the given order, in place of one with the same name; two programs may do so at
    once."""

    def rows() -> list[Mapping[str, Any]]:
        there = {name_of(known): known for known in stored_rows(path)} | {name_of(row): row}
        return [there[name].to_json() for name in order if name in there]

    _write(path, rows)


def _write(path: Path, rows: Callable[[], list[Mapping[str, Any]]]) -> None:
    """Write the rows, which are asked for while no other program writes the file."""
    from filelock import FileLock

    from ued_core.files import write_atomic

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        text = table_text(rows()).encode("utf-8")

        def fill(temporary: Path) -> None:
            temporary.write_bytes(text)

        write_atomic(path, fill)


def fill(
    jobs: Sequence[tuple[Any, ...]], compute: Callable[..., ResultRow], keep: Callable[[ResultRow], None], workers: int
) -> None:
    """Compute rows in processes of one thread each, in the order of the jobs, and keep each at once.

    Args:
        jobs: arguments of ``compute``.
        compute: importable by name.
        keep: called here with every finished row.
        workers: processes.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    began = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(compute, *job): job for job in jobs}
        for done, future in enumerate(as_completed(futures), 1):
            row = future.result()
            keep(row)
            left = (time.monotonic() - began) / done * (len(jobs) - done)
            took = f"{row.seconds or 0.0:.0f} s; {left / 60:.0f} min left"
            print(f"{done}/{len(jobs)} {futures[future]} last {row.last:.3f}, {took}", flush=True)


def parser(text: str | None) -> argparse.ArgumentParser:
    """The options that all tables share: ``--table``, ``--workers``, ``--seeds``."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--table", action="store_true", help="print the table from the stored rows")
    made.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    made.add_argument("--seeds", nargs="*", type=int, default=(0, 1, 2))
    return made


def spread(values: Sequence[float | None], digits: int = 1, scale: float = 100.0) -> str:
    """Mean ± sample standard deviation for a cell; the deviation from two values on."""
    given = [scale * v for v in values if v is not None]
    if not given:
        return ""
    return f"{mean(given):,.{digits}f}" + (f" ± {stdev(given):.{digits}f}" if len(given) > 1 else "")
