"""Submitting, extending and cancelling studies; nothing is trained here."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.studies.tiny_study import begin, finish, tiny, write_study
from ued_core import runs
from ued_core.cli import main
from ued_core.errors import NotAllowed, SpecError
from ued_core.files import write_json
from ued_core.person import Person
from ued_core.results.row import stored_rows
from ued_core.runs.listing import Snapshot
from ued_core.studies import shelf, submission
from ued_core.studies.progress import progress_of
from ued_core.studies.rows import rows_of
from ued_core.studies.shelf import asked, find_study, own_studies, study_files
from ued_core.studies.study import Study
from ued_core.studies.submission import cancel_study, extend, submit_missing


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which no supervisor is started."""
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("ued_core.runs.client.ensure_supervisor", lambda: True)
    monkeypatch.setattr("ued_core.runs.ensure_supervisor", lambda: True)
    monkeypatch.setattr("ued_core.runs.attend", lambda records: None)
    return tmp_path


def keys() -> Counter[str]:
    return Counter(record.key for record in runs.runs())


def test_only_what_is_missing_is_queued(tmp_path: Path) -> None:
    path = write_study(tmp_path / "tiny.json")
    study = Study.read(path)
    # One was trained before, for whatever reason, and one waits.
    first, second = list(study.planned.values())[:2]
    before = runs.submit_many([first.spec, second.spec.with_values(note="by hand")], launch=False)
    finish(before[0], 0.5)
    done = submit_missing(path)
    assert (len(done.queued), done.finished, done.going, done.resumed, done.given_up) == (6, 1, 1, (), ())
    assert keys() == dict.fromkeys(study.planned, 1)
    again = submit_missing(path)
    assert (again.queued, again.finished, again.going) == ((), 1, 7)
    assert keys().total() == 8
    assert [r.spec["seed"] for r in runs.runs()[::-1]][2:] == [0, 0, 1, 1, 1, 1], "seed by seed"
    assert {r.note for r in runs.runs() if r.id in done.queued} <= {f"tiny: {label}" for label in study.by_label}


def test_runs_that_wait_are_not_left_without_a_supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_study(tmp_path / "tiny.json")
    submit_missing(path)
    asked_for: list[bool] = []
    monkeypatch.setattr("ued_core.runs.ensure_supervisor", lambda: asked_for.append(True))
    assert submit_missing(path).going == 8
    assert asked_for == [True], "the one that ran may have been killed since"


def test_an_axis_names_its_rows(tmp_path: Path) -> None:
    """Tables ask for scenes and arms, or for whatever label a row may have."""
    axes = tiny()["axes"]
    path = write_study(
        tmp_path / "tiny.json",
        axes=[{**axes[0], "name": "condition"}, {**axes[1], "name": "arm"}],
        comparisons=[],
    )
    finish(submit_missing(path).queued[0], 0.5)
    (row,) = rows_of(progress_of(Study.read(path), Snapshot("", tuple(runs.runs())), {}))
    assert (row.condition, row.arm, row.dataset, row.seed) == ("clean", "none", "shapes", 0)


def test_what_ended_badly(tmp_path: Path) -> None:
    path = write_study(tmp_path / "tiny.json")
    ids = list(submit_missing(path).queued)
    dead = runs.folder(ids[0])
    dead.take_token()
    begin(dead)
    failed = runs.folder(ids[1])
    failed.take_token()
    failed.write_error("It broke.", "Mend it.", "bug")
    runs.cancel(ids[2])
    done = submit_missing(path)
    assert done.resumed == (ids[0],)
    assert [(t.state, t.record.id) for t in done.given_up] == [("failed", ids[1]), ("cancelled", ids[2])]
    assert (runs.run(ids[0]).state, runs.run(ids[1]).state) == ("queued", "failed")
    done = submit_missing(path, retry=True)
    assert set(done.resumed) == {ids[1], ids[2]}
    assert not done.given_up
    assert keys() == dict.fromkeys(Study.read(path).planned, 1)
    assert {record.state for record in runs.runs()} == {"queued"}


def submit_in_a_process(path: str, go: object) -> None:
    runs.ensure_supervisor = runs.client.ensure_supervisor = lambda: True
    go.wait()
    submit_missing(Path(path))


def test_studies_that_share_runs_and_are_submitted_at_once(tmp_path: Path) -> None:
    one = write_study(tmp_path / "one.json", name="one", seeds=[0, 1, 2])
    two = write_study(tmp_path / "two.json", name="two", seeds=[2, 1, 3])
    context = multiprocessing.get_context("fork")
    go = context.Event()
    rivals = [context.Process(target=submit_in_a_process, args=(str(path), go)) for path in (one, two, one, two)]
    for rival in rivals:
        rival.start()
    go.set()
    for rival in rivals:
        rival.join(120)
        assert rival.exitcode == 0
    assert keys() == dict.fromkeys({**Study.read(one).planned, **Study.read(two).planned}, 1)
    assert keys().total() == 16


def test_a_submission_that_is_killed_half_way_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_study(tmp_path / "tiny.json", seeds=list(range(10)))
    monkeypatch.setattr(submission, "PIECE", 7)
    told: list[tuple[int, int]] = []

    def killed(done: int, of: int) -> None:
        told.append((done, of))
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit_missing(path, on_queued=killed)
    assert told == [(7, 40), (14, 40)]
    assert keys().total() == 14
    assert len(submit_missing(path).queued) == 26
    assert keys() == dict.fromkeys(Study.read(path).planned, 1)


def test_seeds_are_added_to_the_file_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    text = json.dumps(tiny()).replace('"seeds": [0, 1]', '"seeds":\n [0,\n  1 ]')
    path.write_text(text, encoding="utf-8")
    submit_missing(path)
    target, done = extend(path, [1, 5, 5, 3])
    assert target == path
    assert path.read_text(encoding="utf-8") == text.replace("[0,\n  1 ]", "[0, 1, 5, 3]").replace(
        '"seeds":\n ', '"seeds": '
    )
    assert len(done.queued) == 8
    assert Study.read(path).seeds == [0, 1, 5, 3]
    with pytest.raises(SpecError, match="already"):
        extend(path, [3, 5])
    with pytest.raises(SpecError, match="-1"):
        extend(path, [-1])
    with pytest.raises(SpecError, match="at most 20,000"):
        extend(path, list(range(6000)))
    assert Study.read(path).seeds == [0, 1, 5, 3]
    assert keys().total() == 16


def test_where_the_list_of_seeds_stands_twice_the_file_is_written_anew(tmp_path: Path) -> None:
    note = 'Not these: "seeds": [0, 1]'
    path = write_study(tmp_path / "tiny.json", note=note)
    extend(path, [4])
    assert json.loads(path.read_text()) == tiny(note=note, seeds=[0, 1, 4])


def test_a_study_that_ships_is_extended_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "assets"
    monkeypatch.setattr(shelf, "asset", lambda *parts: shipped)
    write_study(shipped / "tiny.json")
    assert find_study("tiny") == shipped / "tiny.json"
    target, _ = extend(find_study("tiny"), [7])
    assert target == own_studies() / "tiny.json"
    assert Study.read(shipped / "tiny.json").seeds == [0, 1]
    assert Study.read(find_study("tiny")).seeds == [0, 1, 7]
    assert study_files() == {"tiny": target}


def test_cancelling_leaves_what_others_want(tmp_path: Path) -> None:
    one = write_study(tmp_path / "one.json", name="one", seeds=[0, 1])
    two = write_study(tmp_path / "two.json", name="two", seeds=[1, 2])
    submit_missing(one)
    submit_missing(two)
    assert asked() == [one, two]
    first = next(iter(Study.read(one).planned))
    running = next(record for record in runs.runs() if record.key == first)

    finish(running.id, 0.5)
    done = cancel_study(one)
    assert (len(done.cancelled), done.wanted, done.others) == (3, 4, 0)
    states = Counter(record.state for record in runs.runs())
    assert states["cancelled"] == 3
    assert asked() == [two]
    # With nobody else left, the shared ones go too.
    done = cancel_study(two)
    assert (len(done.cancelled), done.wanted) == (8, 0)
    assert asked() == []


def test_runs_of_others_go_on(tmp_path: Path) -> None:
    path = write_study(tmp_path / "tiny.json", seeds=[0])
    anna = Person("anna", "Anna")
    runs.submit(next(iter(Study.read(path).planned.values())).spec, launch=False, by=anna)
    assert len(submit_missing(path).queued) == 3
    done = cancel_study(path)
    assert (len(done.cancelled), done.others) == (3, 1)
    assert [record.state for record in runs.runs()].count("queued") == 1
    with pytest.raises(NotAllowed, match="at most 2 waiting"):
        submit_missing(write_study(tmp_path / "more.json", name="more", seeds=[8, 9]), by=anna)


def test_a_broken_list_of_wanted_studies_is_made_anew(tmp_path: Path) -> None:
    path = write_study(tmp_path / "tiny.json")
    own_studies().mkdir(parents=True)
    (own_studies() / "asked").write_text('["/nowhere/gone.json", 3', encoding="utf-8")
    submit_missing(path)
    assert asked() == [path]
    write_json(own_studies() / "asked", ["/nowhere/gone.json", 3, str(path)])
    submit_missing(write_study(tmp_path / "same.json", name="same"))
    assert cancel_study(path).wanted == 8


# ---------------------------------------------------------------- the command


def test_the_command_from_a_file_to_its_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_study(tmp_path / "tiny.json")
    assert main(["study", "run", str(path), "--dry-run"]) == 0
    assert "4 conditions, 8 runs: 8 not submitted" in capsys.readouterr().out
    assert runs.runs() == []
    assert main(["study", "run", str(path)]) == 0
    assert "8 runs queued, 0 were finished, 0 go on" in capsys.readouterr().out
    study = Study.read(path)
    values = {"clean · none": 0.9, "clean · COIN": 0.8, "CUDA · none": 0.2, "CUDA · COIN": 0.6}
    steps = {"clean · none": 3, "clean · COIN": 1, "CUDA · none": 2, "CUDA · COIN": 1}
    by_key = {record.key: record.id for record in runs.runs()}
    for label, value in values.items():
        for place, run in enumerate(study.by_label[label].runs):
            finish(by_key[run.key], value + 0.02 * place * steps[label])
    last = study.by_label["clean · COIN"].runs[1].key
    runs.delete(by_key[last])
    assert main(["study", "status", str(path)]) == 0
    said = capsys.readouterr().out
    assert "8 runs: 7 finished, 1 not submitted" in said
    assert "CUDA · COIN   2/2          0        0       0  61.0 ± 1.4 %" in said
    assert "clean · COIN  1/2          0        0       0  80.0 %" in said
    assert (
        "CUDA · COIN against CUDA · none: +39.0 [+26.3, +51.7] points, better (2 seeds); 55 % of the loss recovered"
        in said
    )
    assert "Processor time: 56 s so far in this home. About 8 s are left" in said
    assert main(["study", "status", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"finished": 7, "missing": 1}
    assert told["conditions"][3]["mean"] == pytest.approx(0.61)
    assert len(told["conditions"][3]["runs"]) == 2
    assert told["comparisons"][0]["gain"] == pytest.approx(0.39)
    table, record = tmp_path / "rows.json", tmp_path / "record.json"
    assert main(["study", "rows", str(path), "--out", str(table)]) == 0
    rows = stored_rows(table)
    assert len(rows) == 7
    assert [(row.attack, row.defence, row.seed) for row in rows[-2:]] == [("CUDA", "COIN", 0), ("CUDA", "COIN", 1)]
    assert rows[-1].last == pytest.approx(0.62)
    assert {row.key for row in rows} < set(study.planned)
    assert main(["study", "record", str(path), "--out", str(record)]) == 0
    assert main(["record", "validate", str(record)]) == 0
    entry = json.loads(record.read_text())["entries"][3]
    assert (entry["condition"], entry["origin"], entry["gain"]["control"]) == (
        "CUDA · COIN",
        "study tiny",
        "CUDA · none",
    )
    assert entry["gain"]["mean"] == pytest.approx(0.39)
    capsys.readouterr()
    assert main(["study", "cancel", str(path)]) == 0
    assert "0 runs cancelled" in capsys.readouterr().out
    assert main(["study", "extend", str(path), "--seeds", "9"]) == 0
    assert "5 runs queued, 7 were finished" in capsys.readouterr().out
    found = progress_of(Study.read(path), Snapshot("", tuple(runs.runs())), {})
    assert found.counts == {"finished": 7, "queued": 5}


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "list"]) == 0
    assert "fashion" in capsys.readouterr().out
    assert main(["study", "status", "fashon"]) == 2
    assert "Did you mean 'fashion'" in capsys.readouterr().err
    assert main(["study", "status", str(tmp_path / "no.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    path = write_study(tmp_path / "tiny.json", seeds=[])
    assert main(["study", "run", str(path)]) == 2
    assert "seeds is []" in capsys.readouterr().err
    assert main(["study", "extend", str(write_study(tmp_path / "t.json")), "--seeds", "1"]) == 2
    with pytest.raises(SystemExit):
        main(["study", "extend", "tiny", "--seeds", "x"])


def test_waiting_ends_when_nothing_is_ahead(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_study(tmp_path / "tiny.json", seeds=[0])
    ids = list(submit_missing(path).queued)

    def work() -> None:
        for run_id in ids[:3]:
            finish(run_id, 0.5)
        runs.cancel(ids[3])

    timer = threading.Timer(1.0, work)
    timer.start()
    assert main(["study", "run", str(path), "--wait"]) == 1
    timer.join()
    assert "4 runs: 3 finished, 1 cancelled" in capsys.readouterr().out
