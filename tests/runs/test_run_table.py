"""The table gives every run and every slot away once, and a damaged one is replaced."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ued_core.runs import supervisor
from ued_core.runs.devices import Slot, lanes, parse_listing, slots, suits
from ued_core.runs.folder import RunFolder
from ued_core.runs.launcher import Handle, LocalLauncher
from ued_core.runs.record import RunRecord
from ued_core.runs.spec import RunSpec
from ued_core.runs.store import Table, read_rows, table_path

CPU, GPU0, GPU1 = Slot("cpu:0", "", "CPU"), Slot("cuda:0", "GPU-a", "GPU 0"), Slot("cuda:1", "GPU-b", "GPU 1")


def queue(table: Table, *names: str, device: str = "auto") -> None:
    for name in names:
        table.put(RunRecord(id=name, spec={"device": device}), None, None)


def test_oldest_first_and_one_run_a_slot(tmp_path: Path):
    table = Table(tmp_path)
    queue(table, "b", "a", "c", "d")
    assert table.claim([GPU0, GPU1, CPU]) == [("a", GPU0), ("b", GPU1)]
    assert table.claim([GPU0, GPU1, CPU]) == []
    table.release("a")
    table.put(RunRecord(id="a", state="finished"), None, None)
    assert table.claim([GPU0, GPU1, CPU]) == [("c", GPU0)]


def test_runs_for_the_processor_use_its_slot_beside_the_gpus(tmp_path: Path):
    table = Table(tmp_path)
    queue(table, "a", "b", device="cpu")
    queue(table, "c", device="cuda")
    assert table.claim([GPU0, CPU]) == [("a", CPU), ("c", GPU0)]


QUICK_SPEC = {
    "dataset": {"name": "shapes", "train_size": 500}, "attack": "cuda", "defenses": ["coin"],
    "model": {"name": "small_cnn", "width": 8}, "plan": {"name": "adamw", "epochs": 2},
}  # fmt: skip


def test_a_quick_run_waits_behind_no_long_one(tmp_path: Path):
    table, lane = Table(tmp_path), Slot("cpu:quick", "", "CPU", quick=True)
    queue(table, "a", "b")
    for name, spec in (("c", QUICK_SPEC), ("d", QUICK_SPEC | {"plan": {"name": "adamw", "epochs": 200}})):
        table.put(RunRecord(id=name, spec=RunSpec.from_json(spec).to_json()), None, None)
    assert table.claim([CPU, lane]) == [("a", CPU), ("c", lane)]
    assert table.claim([CPU, lane]) == []
    table.release("a")
    table.put(RunRecord(id="a", state="finished"), None, None)
    assert table.claim([CPU, lane]) == [("b", CPU)]


@pytest.mark.parametrize(
    "slow",
    [
        {"attack": "em"},
        {"defenses": ["adversarial_training"]},
        {"defenses": ["dvae"]},
        {"model": {"name": "resnet18", "width": 8}},
        {"dataset": {"name": "shapes", "train_size": 20_000}},
    ],
)
def test_what_takes_long_is_not_quick(slow: dict[str, Any]):
    assert RunSpec.from_json(QUICK_SPEC).quick
    assert not RunSpec.from_json({**QUICK_SPEC, **slow}).quick


def test_a_lane_for_quick_runs_only_where_nobody_set_the_slots(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.delenv("UED_SLOTS", raising=False)
    assert [slot.name for slot in lanes() if slot.quick] == ["cpu:quick"]
    monkeypatch.setenv("UED_SLOTS", "2")
    assert not any(slot.quick for slot in lanes())
    monkeypatch.delenv("UED_SLOTS")
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert not any(slot.quick for slot in lanes())


def test_without_a_gpu_everything_goes_to_the_processor():
    asked = ("auto", "cpu", "cuda", "mps")
    assert [suits(CPU, device, any_gpu=False) for device in asked] == [True] * 4
    assert [suits(CPU, device, any_gpu=True) for device in asked] == [False, True, False, True]


def test_eight_claimants_at_once(tmp_path: Path):
    names = [f"r{k:02d}" for k in range(40)]
    table = Table(tmp_path)
    queue(table, *names)
    places = [Slot(f"cpu:{k}", "", "CPU") for k in range(40)]
    given, gate = [], threading.Barrier(8)

    def grab() -> None:
        mine = Table(tmp_path)
        gate.wait()
        given.extend(mine.claim(places))
        mine.close()

    threads = [threading.Thread(target=grab) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(name for name, _ in given) == names
    assert len({slot.name for _, slot in given}) == 40


def test_a_run_that_is_being_launched_is_not_put_back(tmp_path: Path):
    table = Table(tmp_path)
    queue(table, "a")
    table.claim([CPU])
    queue(table, "a")
    assert table.claim([CPU]) == []
    assert table.get("a").launching
    table.started("a", Handle("h", 11, 2.0))
    assert table.get("a").handle == Handle("h", 11, 2.0)


@pytest.mark.parametrize("damage", ["text", "middle", "version"])
def test_a_damaged_table_is_moved_aside(tmp_path: Path, damage: str):
    table = Table(tmp_path)
    queue(table, *(f"r{k}" for k in range(300)))
    table.close()
    path = table_path(tmp_path)
    if damage == "text":
        path.write_bytes(b"this is no database" * 100)
    elif damage == "middle":
        data = bytearray(path.read_bytes())
        data[4096 : len(data) - 4096] = b"\xa5" * (len(data) - 8192)
        path.write_bytes(data)
    else:
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99")
        db.commit()
        db.close()
    assert read_rows(tmp_path) == {}
    fresh, reason = Table.open(tmp_path)
    assert reason
    assert fresh.states() == {}
    assert path.with_name("jobs.db.damaged").exists()


WRONG = {
    "torn": "'{torn'",
    "null": "'null'",
    "a number": "1e999",
    "bytes": "x'00ff'",
    "NaN": """replace(record, '"last": null', '"last": NaN')""",
    "another state": """replace(record, '"queued"', '"forgotten"')""",
    "text for a number": """replace(record, '"epochs": 0', '"epochs": "x"')""",
    "another run": """replace(record, 'r1', 'r2')""",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_damaged_row_takes_nothing_from_the_others_and_is_written_anew(tmp_path: Path, wrong: str):
    table = Table(tmp_path)
    queue(table, "r0", "r1")
    with closing(sqlite3.connect(table.path, isolation_level=None)) as db:
        db.execute(f"UPDATE job SET record = {WRONG[wrong]} WHERE id = 'r1'")
    found = read_rows(tmp_path)
    assert found["r0"].record == RunRecord(id="r0", spec={"device": "auto"})
    assert found["r1"].record is None
    assert table.get("r1").record is None
    queue(table, "r1")
    assert read_rows(tmp_path)["r1"].record.id == "r1"


@pytest.mark.parametrize(
    "wrong", ["'x'", "1e999", "'{}'", """'{"host": "h", "pid": -1, "created": 1}'""", """'{"host": "h", "pid": 7}'"""]
)
def test_a_damaged_worker_or_claim_of_a_row_is_none(tmp_path: Path, wrong: str):
    table = Table(tmp_path)
    queue(table, "a")
    table.claim([CPU])
    with closing(sqlite3.connect(table.path, isolation_level=None)) as db:
        db.execute(f"UPDATE job SET worker = {wrong}, claimed = 'x'")
    [row] = table.busy()
    assert row.handle is None
    assert not row.launching


def test_a_record_goes_through_json_and_the_table_unchanged(tmp_path: Path):
    record = RunRecord(
        id="a",
        title="ü",
        state="finished",
        created=1.5,
        epoch=3,
        epochs=3,
        last=0.1 + 0.2,
        spec={"p": [1, {"q": None}]},
        damaged=("field x of y is NaN",),
    )
    table = Table(tmp_path)
    table.put(record, None, None)
    assert table.get("a").record == record


@pytest.mark.parametrize(
    "wrong", [{"last": float("nan")}, {"created": 1e11}, {"epoch": -1}, {"fraction": 2.0}, {"key": 3}]
)
def test_a_record_with_a_wrong_value_cannot_be_made(wrong: dict):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RunRecord(id="a", **wrong)


def test_readers_never_make_a_table(tmp_path: Path):
    assert read_rows(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_deleted_table_is_noticed(tmp_path: Path):
    table = Table(tmp_path)
    assert table.in_place()
    table_path(tmp_path).unlink()
    assert not table.in_place()


LISTING = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb)
  MIG 3g.20gb     Device  0: (UUID: MIG-c0)
  MIG 3g.20gb     Device  1: (UUID: MIG-c1)
"""


def test_listed_gpus_and_their_parts():
    assert [(index, uuid) for index, uuid, _ in parse_listing(LISTING)] == [
        ("0", "GPU-aaaa"),
        ("", "MIG-c0"),
        ("", "MIG-c1"),
    ]
    assert parse_listing("No devices were found\n") == []


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: Card (UUID: GPU-aaaa)'\necho 'GPU 1: Card (UUID: GPU-bbbb)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.parametrize(
    ("chosen", "visible"),
    [
        (None, ["GPU-aaaa", "GPU-bbbb"]),
        ("1", ["1"]),
        ("GPU-b,0", ["GPU-b", "0"]),
        ("", []),
        ("-1", []),
        ("0,7,1", ["0"]),
    ],
)
def test_slots_follow_cuda_visible_devices(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch, chosen: str | None, visible: list[str]
):
    monkeypatch.setenv("UED_SLOTS", "2")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    found = slots()
    assert [slot.visible for slot in found if slot.gpu] == visible
    assert [slot.name for slot in found if not slot.gpu] == ["cpu:0", "cpu:1"]


def test_a_scan_reads_every_folder_once_and_then_what_may_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Reading thousands of runs that are over every ten seconds would keep a processor busy; nothing may be missed for
    ever."""
    made = [RunFolder.create(tmp_path, {"device": "cpu"}, {}) for _ in range(60)]
    over, waiting = made[:-2], made[-2:]
    for folder in over:
        folder.request_cancel()
    own = supervisor.Supervisor(tmp_path, (), LocalLauncher(), logging.getLogger("test"))
    looked: list[str] = []
    sync = own._sync
    monkeypatch.setattr(own, "_sync", lambda table, run_id, *more: looked.append(run_id) or sync(table, run_id, *more))

    def scan() -> list[str]:
        looked.clear()
        own._next_scan = 0.0
        own.step()
        return list(looked)

    assert len(scan()) == 60
    assert set(scan()) >= {folder.run_id for folder in waiting}
    assert len(scan()) <= 2 + 3
    seen = {run_id for _ in range(supervisor.TURNS) for run_id in scan()}
    assert seen == {folder.run_id for folder in made}, "in turn, all of them"
    over[7].request_resume()
    assert over[7].run_id in scan(), "resumed, and the bell was lost"
    over[8].remove()
    assert over[8].run_id in scan(), "gone"
    own.close()
