"""Tables of runs: rows that are computed once, in any order, and kept in one JSON file."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ued_core.assets import asset

Row = dict[str, Any]
RESULTS = asset("results")
LABELS = ("dataset", "attack", "plan", "condition", "defence", "question", "name", "seed", "poison")
"""What tables add to a run: the names of its row, and the size of the poison."""


def stored(path: Path) -> list[Row]:
    """The rows that are there."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def store(path: Path, row: Row, name_of: Callable[[Row], Hashable], order: Sequence[Hashable]) -> None:
    """Add one row to the file, in the given order, in place of one with the same name; two programs may do so at
    once."""
    from filelock import FileLock

    from ued_core.files import write_atomic

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        rows = {name_of(r): r for r in stored(path)} | {name_of(row): row}
        kept = [rows[name] for name in order if name in rows]
        text = "[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in kept) + "\n]\n"
        write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def train_once(spec: Row, others: Sequence[Path] = ()) -> Row:
    """One run in this process with one thread; its spec, key and result.

    Args:
        spec: a run spec as JSON.
        others: tables that may hold the same run already, with the names that they give it; it is then not computed
            again.
    """
    import torch

    torch.set_num_threads(1)
    from ued_core.context import Context
    from ued_core.runs.pipeline import execute
    from ued_core.runs.spec import RunSpec

    read = RunSpec.from_json(spec)
    known = next((row for path in others for row in stored(path) if row["key"] == read.key()), None)
    if known is not None:
        return {name: value for name, value in known.items() if name not in LABELS} | {"spec": read.to_json()}
    cpu = time.process_time()
    result = execute(read, Context())
    return {"key": read.key(), "spec": read.to_json(), **result.to_json(), "cpu_s": time.process_time() - cpu}


def fill(
    jobs: Sequence[tuple[Any, ...]], compute: Callable[..., Row], keep: Callable[[Row], None], workers: int
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
            took = f"{row['seconds']:.0f} s; {left / 60:.0f} min left"
            print(f"{done}/{len(jobs)} {futures[future]} last {row['last']:.3f}, {took}", flush=True)


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
