"""Submitting, looking, failing and recovering; with real processes where one is needed."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.small_disk import full_disk
from ued_core import runs
from ued_core.errors import DataError, RunError
from ued_core.runs import worker
from ued_core.runs.devices import Slot
from ued_core.runs.folder import RunFolder, new_run_id
from ued_core.runs.jsonl import append_line
from ued_core.runs.launcher import KEEP_FREED, PACKAGE_PARENT, LocalLauncher
from ued_core.runs.store import read_rows, table_path
from ued_core.runs.supervisor import Supervisor

CPU = Slot("cpu:0", "", "CPU")


@pytest.fixture
def supervisor(home: Path):
    """A supervisor inside the test; it has no slot, so that nothing is executed."""
    (home / "runs").mkdir()
    made = Supervisor(home / "runs", (), LocalLauncher(), logging.getLogger("test"))
    yield made
    made.close()


def ended(spec_of, count: int = 1) -> list[str]:
    """Runs that are over without any worker: cancelled in the queue."""
    ids = runs.submit_many([spec_of(seed=k) for k in range(count)], launch=False)
    for run_id in ids:
        runs.cancel(run_id)
    return ids


def test_what_was_changed_beside_the_result_stands_in_the_log(home, spec_of, tmp_path, capsys):
    for name in ("a/0", "a/1", "a/2", "b/0", "b/1", "b/2"):
        picture = tmp_path / "set" / f"{name}.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (len(name), int(name[-1]) * 40, 9)).save(picture)
    dataset = {"name": "folder", "path": str(tmp_path / "set")}
    run_id = runs.submit(spec_of(epochs=1, dataset=dataset), launch=False)
    worker.compute(runs.folder(run_id), lambda: False, 1)
    assert " note: Resized 6: 40 × 40 → 32 × 32" in capsys.readouterr().out


def test_importing_the_package_loads_neither_torch_nor_the_catalogues():
    code = "import sys, ued_core.runs; sys.exit(any(name in sys.modules for name in ('torch', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PACKAGE_PARENT).returncode == 0


def test_a_submitted_run_is_seen_at_once_without_table_or_supervisor(home, spec_of, pids):
    first, second = runs.submit_many([spec_of(), spec_of(seed=1, note="mine")], launch=False)
    assert [record.id for record in runs.runs()] == [second, first]
    assert first < second
    assert [record.id for record in runs.runs(limit=1)] == [second]
    record = runs.run(second)
    assert (record.state, record.note, record.epochs, record.title) == ("queued", "mine", 2, spec_of().title())
    assert runs.RunSpec.from_json(record.spec).key() == record.key == spec_of(seed=1).key()
    assert not table_path(home / "runs").exists()
    assert not pids("supervisor")


def test_ids_may_be_shortened_and_wrong_ones_are_explained(home, spec_of):
    with pytest.raises(RunError, match="no run at all"):
        runs.run("x")
    first, second = runs.submit_many([spec_of(), spec_of()], launch=False)
    assert runs.run(first[-4:]).id == first
    assert runs.run(second[:-2]).id == second
    with pytest.raises(RunError, match=f"fits 2 runs: {first}, {second}"):
        runs.run(first[:8])
    with pytest.raises(RunError, match=f"Did you mean.*{first}"):
        runs.run(first[:-1] + "x")
    with pytest.raises(RunError, match="it has been deleted. .*newest|it has been deleted. Did you mean"):
        runs.run("20200101-000000-000-abcd")
    for text in ("", "zzz", "../runs", "..", "/", ".inbox", f"../runs/{first}"):
        with pytest.raises(RunError, match="There is no run"):
            runs.folder(text)


def test_find_by_key_and_delete(home, spec_of):
    first, second, third = runs.submit_many([spec_of(), spec_of(seed=5), spec_of()], launch=False)
    assert [record.id for record in runs.find(spec_of().key())] == [third, first]
    with pytest.raises(RunError, match="it is queued. Cancel it first"):
        runs.delete(first)
    runs.cancel(first)
    with pytest.raises(RunError, match="cannot be cancelled: it is cancelled"):
        runs.cancel(first)
    runs.delete(first)
    assert [record.id for record in runs.runs()] == [third, second]
    assert not [path for path in (home / "runs").iterdir() if first in path.name]


def test_resume_puts_a_cancelled_run_back_and_refuses_a_queued_one(home, spec_of):
    [run_id] = ended(spec_of)
    runs.resume(run_id, launch=False)
    assert runs.run(run_id).state == "queued"
    assert not runs.run(run_id).cancelling
    with pytest.raises(RunError, match="cannot be resumed: it is queued"):
        runs.resume(run_id, launch=False)


def test_waiting_has_an_end(home, spec_of, supervisor):
    run_id = runs.submit(spec_of(epochs=1000), launch=False)
    with pytest.raises(RunError, match="is still (queued|running) after 0.3 s"):
        runs.wait(run_id, timeout=0.3)


def test_the_table_is_rebuilt_after_deletion_and_damage(home, spec_of, supervisor):
    ids = ended(spec_of, 3)
    queued = runs.submit(spec_of(), launch=False)
    root = home / "runs"
    supervisor.step()
    before = runs.runs()
    assert set(read_rows(root)) == {*ids, queued}
    table_path(root).unlink()
    assert runs.runs() == before
    supervisor.step()
    assert set(read_rows(root)) == {*ids, queued}
    assert runs.runs() == before
    supervisor.close()
    table_path(root).write_bytes(b"garbage" * 1000)
    assert runs.runs() == before
    fresh = Supervisor(root, (), LocalLauncher(), logging.getLogger("test"))
    fresh.step()
    assert set(read_rows(root)) == {*ids, queued}
    assert runs.runs() == before
    assert (root / "jobs.db.damaged").exists()
    db = sqlite3.connect(table_path(root))
    db.execute("UPDATE job SET record = 'torn' WHERE id = ?", (ids[0],))
    db.commit()
    db.close()
    fresh._next_scan = 0.0
    assert fresh.step()
    assert fresh.step()
    assert runs.runs() == before
    fresh.close()
    assert set(read_rows(root)) == {*ids, queued}


def test_deleted_runs_leave_the_table(home, spec_of, supervisor):
    first, second = ended(spec_of, 2)
    supervisor.step()
    runs.delete(first)
    supervisor.step()
    assert set(read_rows(home / "runs")) == {second}


def test_corrupt_specs_fail_and_do_not_stop_the_others(home, spec_of, until):
    broken, nonsense, good = runs.submit_many([spec_of(), spec_of(), spec_of(epochs=1)], launch=False)
    runs.folder(broken).spec_path.write_text('{"dataset": "sha')
    wrong = {**spec_of().to_json(), "attack": {"name": "cudda"}}
    runs.folder(nonsense).spec_path.write_text(json.dumps(wrong))
    assert runs.run(broken).state == "failed", "shown as failed before any supervisor has seen it"
    runs.ensure_supervisor()
    assert until(good, lambda r: r.over).state == "finished"
    record = until(broken, lambda r: r.over)
    assert record.state == "failed"
    assert "spec.json cannot be read" in record.error
    assert record.attempt == 0
    record = until(nonsense, lambda r: r.over)
    assert record.state == "failed"
    assert "no attack 'cudda'. Did you mean 'cuda'" in record.error
    error = runs.folder(nonsense).error()
    assert error["kind"] == "UnknownName"
    assert error["traceback"] == ""
    assert f"{error['what']} {error['do']}" == record.error
    assert record.attempt == 1
    assert record.resumable
    assert record.ended > record.started
    [runs.delete(run_id) for run_id in (broken, nonsense, good)]
    assert runs.runs() == []


def test_a_worker_that_cannot_begin_is_not_started_for_ever(home, spec_of, monkeypatch):
    (home / "broken").mkdir()
    (home / "broken" / "sitecustomize.py").write_text("import os; print('no room'); os._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(home / "broken"))
    run_id = runs.submit(spec_of(), launch=False)
    supervisor = Supervisor(home / "runs", (CPU,), LocalLauncher(), logging.getLogger("test"))
    deadline = time.monotonic() + 20
    while supervisor.step() and time.monotonic() < deadline:
        time.sleep(0.02)
    supervisor.close()
    record = runs.run(run_id)
    assert record.state == "failed"
    assert "exit code 7" in record.error
    assert record.attempt == 0
    assert runs.folder(run_id).log_tail() == "no room"


def test_a_gpu_run_sees_its_gpu_only(home, spec_of):
    (home / "spy").mkdir()
    names = ("CUDA_VISIBLE_DEVICES", "UED_DEVICE", "OMP_WAIT_POLICY", *KEEP_FREED)
    spy = f"import os; print(*[os.environ.get(name) for name in {names}]); os._exit(9)"
    run_id = runs.submit(spec_of(), launch=False)
    (home / "spy" / "sitecustomize.py").write_text(spy)
    os.environ["PYTHONPATH"], before = str(home / "spy"), os.environ.get("PYTHONPATH")
    try:
        launcher = LocalLauncher()
        handle = launcher.start(runs.folder(run_id), Slot("cuda:1", "GPU-b", "GPU 1, Card"))
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    while launcher.alive(handle):
        time.sleep(0.02)
    assert launcher.exit_code(handle) == 9
    assert runs.folder(run_id).log_tail() == "GPU-b GPU 1, Card PASSIVE 4294967296 8589934592"


@pytest.fixture
def own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_worker_leaves_what_is_not_its_to_execute(home, spec_of, own_signals):
    [cancelled] = ended(spec_of)
    folder = runs.folder(cancelled)
    before = {path.name: path.stat().st_mtime_ns for path in folder.path.iterdir()}
    assert worker.main([str(folder.path)]) == worker.NOT_CLAIMED
    after = {path.name: path.stat().st_mtime_ns for path in folder.path.iterdir() if path != folder.lock}
    assert after == before
    assert worker.main([]) == worker.main([str(home / "nowhere")]) == worker.USAGE


def test_what_errors_mean():
    assert worker.explain(DataError("a", "b"), "t") == {"what": "a", "do": "b", "kind": "DataError"}
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):
        found = worker.explain(error, "t")
        assert found["kind"] == "memory"
        assert "memory" in found["what"].lower()
        assert "smaller batch" in found["do"]
    found = worker.explain(KeyError("x"), "trace")
    assert found["kind"] == "bug"
    assert "KeyError" in found["what"]
    assert found["traceback"] == "trace"


@pytest.mark.parametrize(
    "write",
    [
        lambda path: torch.save({"a": torch.zeros(10_000)}, path),
        lambda path: save_file({"a": torch.zeros(10_000)}, path),
        lambda path: path.write_bytes(bytes(10_000)),
    ],
    ids=["torch", "safetensors", "python"],
)
def test_a_full_disk_is_no_bug(tmp_path: Path, write):
    with full_disk(), pytest.raises(Exception) as caught:  # noqa: PT011
        write(tmp_path / "file")
    found = worker.explain(caught.value, "t")
    assert found["kind"] == "disk"
    assert "resume" in found["do"]
    assert worker.explain(OSError(2, "No such file"), "t")["kind"] == "bug"


def test_reports_are_throttled_but_a_new_step_shows(tmp_path: Path):
    report = worker.Reporter(tmp_path / "progress.jsonl")
    for done in range(1000):
        report(done, 1000, "one")
    report(0, 7, "two")
    lines = (tmp_path / "progress.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines if json.loads(line)["done"] == 0] == ["one", "two"]
    assert len(lines) < 10


def test_two_hundred_runs_are_listed_quickly(home, spec_of, supervisor):
    root, spec = home / "runs", spec_of().to_json()
    for _ in range(200):
        made = RunFolder(root / new_run_id())
        made.path.mkdir()
        made.spec_path.write_text(json.dumps(spec))
        made.result_path.write_text('{"last": 0.5, "best": 0.6, "train_accuracy": 0.7, "epochs": 2}')
        for epoch in (1, 2):
            append_line(made.history_path, {"epoch": epoch, "test_accuracy": 0.5})
        time.sleep(0.001)
    supervisor.step()
    assert len(read_rows(root)) == 200
    times = []
    for _ in range(5):
        began = time.perf_counter()
        records = runs.runs()
        times.append(time.perf_counter() - began)
    assert len(records) == 200
    assert records[0].last == 0.5
    assert min(times) < 0.1, times
    print(f"{min(times) * 1e3:.1f} ms")
