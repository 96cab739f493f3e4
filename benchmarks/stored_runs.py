"""A home with many well-formed runs that nobody trained, for benchmarks and tests of what lists them.

The files are those that a worker would have left: the same names, the same fields, numbers of a plausible size.
"""

from __future__ import annotations

import logging
import random
import time
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from ued_core.files import write_json
from ued_core.runs.folder import RunFolder
from ued_core.runs.jsonl import append_line
from ued_core.runs.launcher import LocalLauncher
from ued_core.runs.record import process_name
from ued_core.runs.spec import RunSpec
from ued_core.runs.supervisor import Supervisor

EPOCHS = 10
STACKS: tuple[list[Any], ...] = ([], [{"name": "coin"}], [{"name": "coin", "strength": 1.0}], [{"name": "jpeg"}])
CLASSES = 10


def specs(count: int) -> list[RunSpec]:
    """So many specs: attacks × defences × seeds, as sweeps make them."""
    kinds = list(product(("cuda", None, "vuda"), STACKS))
    found = []
    for index in range(count):
        attack, stack = kinds[index % len(kinds)]
        plan = {"name": "adamw", "epochs": EPOCHS}
        value = {
            "dataset": "shapes",
            "attack": attack,
            "defenses": stack,
            "plan": plan,
            "seed": index // len(kinds),
            "device": "cpu",
        }
        found.append(RunSpec.from_json(value))
    return found


def make_stored(root: Path, chosen: list[RunSpec]) -> list[RunFolder]:
    """Finished runs, one a spec, submitted a minute after each other and long over."""
    rng, now = random.Random(0), time.time() - 60 * len(chosen) - 3600
    return [_finished(root, spec, now + 60 * index, rng) for index, spec in enumerate(chosen)]


def make_queued(root: Path, chosen: list[RunSpec]) -> list[RunFolder]:
    """Runs that wait, one a spec."""
    made = []
    for spec in chosen:
        folder = _folder(root, spec, time.time())
        folder.token.touch()
        made.append(folder)
    return made


def fill_table(root: Path) -> None:
    """Have the table written as a supervisor without any place for a run would."""
    supervisor = Supervisor(root, (), LocalLauncher(), logging.getLogger("stored runs"))
    supervisor.step()
    supervisor.close()


def _folder(root: Path, spec: RunSpec, created: float) -> RunFolder:
    moment = datetime.fromtimestamp(created, UTC)
    while True:
        name = f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}-{random.randrange(1 << 16):04x}"
        folder = RunFolder(root / name)
        if not folder.path.exists():
            break
    folder.path.mkdir(parents=True)
    write_json(folder.spec_path, spec.to_json())
    write_json(folder.path / "request.json", {"title": spec.title(), "key": spec.key(), "created": created})
    return folder


def _finished(root: Path, spec: RunSpec, created: float, rng: random.Random) -> RunFolder:
    folder = _folder(root, spec, created)
    began, level = created + 1, rng.uniform(0.1, 0.9)
    rows = [_epoch(number, level, rng) for number in range(1, EPOCHS + 1)]
    start_attempt(folder, time=began, pid=2**22 + 1, created=began, birth="")
    for row in rows:
        append_line(folder.history_path, row)
    for step in range(1, 21):
        report(folder, began + 2 * step, 20 * step, 400, f"epoch {1 + (step - 1) // 2} of {EPOCHS}")
    folder.heartbeat.touch()
    folder.log.write_text("\n".join(f"{k:02d}:00:00 epoch {k}" for k in range(EPOCHS)), encoding="utf-8")
    write_json(folder.result_path, _result(rows))
    return folder


def start_attempt(folder: RunFolder, **others: object) -> None:
    """The line that a worker writes when it takes a run: that of this process, unless others say otherwise."""
    row = {
        "attempt": 1,
        "time": time.time(),
        **process_name(),
        "slot": "cpu:0",
        "device": "CPU",
        "threads": 2,
        **others,
    }
    append_line(folder.attempts_path, row)
    append_line(folder.progress_path, {"attempt": 1})


def report(folder: RunFolder, moment: float, done: float, total: float, text: str) -> None:
    """One line of progress, and a beat of the heart."""
    append_line(folder.progress_path, {"time": moment, "done": done, "total": total, "text": text})
    folder.heartbeat.touch()


def _epoch(number: int, level: float, rng: random.Random) -> dict[str, float]:
    learned = 1 - 0.5 / number
    return {
        "epoch": number,
        "loss": 2.3 / number,
        "train_accuracy": learned,
        "test_accuracy": level * learned,
        "learning_rate": 0.004,
        "seconds": 3.5 + rng.random(),
        "images_per_s": 1400 + 100 * rng.random(),
    }


def _result(rows: list[dict[str, float]]) -> dict[str, Any]:
    tests = [row["test_accuracy"] for row in rows]
    return {
        "epochs": len(rows),
        "last": tests[-1],
        "best": max(tests),
        "train_accuracy": rows[-1]["train_accuracy"],
        "train_seconds": sum(row["seconds"] for row in rows),
        "poisoned_accuracy": 0.9,
        "touched_accuracy": None,
        "untouched_accuracy": None,
        "probe": None,
        "crafting": None,
        "purification": [],
        "training": [],
        "treated": None,
        "poison_seconds": 0.4,
        "data": {
            "train": 5000,
            "test": 1000,
            "class_names": [f"class {k}" for k in range(CLASSES)],
            "notes": [],
            "clean_hash": "0" * 12,
            "trained_on_hash": "1" * 12,
        },
        "environment": {
            "device": "cpu",
            "device_name": "processor",
            "precision": "float32",
            "threads": 2,
            "torch": "2.15.0",
            "numpy": "2.3.4",
            "python": "3.11.7",
        },
        "seconds": 45.0,
        "history": rows,
        "attempts": 1,
    }
