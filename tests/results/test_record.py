"""The record: entries follow from rows, files agree with their runs, and nothing is overwritten in silence."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from ued_core.errors import DataError
from ued_core.results import record_sources
from ued_core.results.phenomenon import Condition
from ued_core.results.record import Entry, Record, entries, schema
from ued_core.results.record_tables import csv_table, latex_table, markdown_table
from ued_core.results.reported import reported
from ued_core.results.row import ResultRow

COIN = [{"name": "coin", "strength": 2.0}]
CUDA = {"name": "cuda", "blur": 0.3}


def row(
    seed: int, last: float, attack: Any = None, defenses: Any = (), key: int | None = None, **more: Any
) -> ResultRow:
    spec = {
        "dataset": {"name": more.pop("data", "shapes"), "seed": seed, "train_size": 5000},
        "attack": attack,
        "poison_rate": more.pop("rate", 1.0),
        "attack_seed": seed if key is None else key,
        "defenses": list(defenses),
        "model": {"name": more.pop("model", "small_cnn"), "width": 24},
        "plan": {"name": "adamw", "epochs": 10},
        "seed": seed,
        "device": "cpu",
        "note": f"seed {seed}",
    }
    machine = {"device": "cpu", "device_name": "x86_64", "precision": more.pop("arithmetic", "float32"), "threads": 1}
    value = {
        "key": f"{attack}{defenses}{seed}{key}{machine['precision']}"[-40:],
        "spec": spec,
        "seed": seed,
        "last": last,
        "best": more.pop("best", last),
        "data": {
            "train": 5000,
            "test": 1000,
            "class_names": [str(k) for k in range(10)],
            "clean_hash": "c",
            "trained_on_hash": "t",
        },
        "environment": {**machine, "torch": "2", "numpy": "2", "python": "3"},
        **more,
    }
    return ResultRow.from_json(value)


def condition(name: str, lasts: dict[int, float], attack: Any = None, defenses: Any = (), **more: Any) -> Condition:
    return Condition(name, tuple(row(seed, last, attack, defenses, **more) for seed, last in lasts.items()))


CLEAN = condition("clean", dict(enumerate((0.97, 0.96, 0.98, 0.97, 0.96))))
NONE = condition("CUDA", dict(enumerate((0.2, 0.3, 0.25, 0.15, 0.35))), CUDA)
DEFENDED = condition("CUDA · COIN", dict(enumerate((0.8, 0.85, 0.82, 0.78, 0.9))), CUDA, COIN)


def made(*conditions: Condition, comparisons: Any = ()) -> dict[str, Entry]:
    return {entry.condition: entry for entry in entries(conditions, comparisons, "test")}


# ---- entries -----------------------------------------------------------------------------------


def test_an_entry_has_its_evidence() -> None:
    found = made(CLEAN, NONE, DEFENDED)
    coin = found["CUDA · COIN"]
    assert (coin.accuracy.n, coin.accuracy.mean) == (5, pytest.approx(0.83))
    assert coin.accuracy.interval is not None
    assert coin.test_error == pytest.approx((0.83 * 0.17 / 1000) ** 0.5)
    # Gains 0.6, 0.55, 0.57, 0.63, 0.55.
    assert coin.gain is not None
    assert (coin.gain.control, coin.gain.n, coin.gain.mean) == ("CUDA", 5, pytest.approx(0.58))
    assert (coin.gain.verdict, coin.gain.few) == ("better", False)
    assert coin.recovery is not None
    assert coin.recovery.share == pytest.approx(0.58 / (0.968 - 0.25))
    assert coin.unreliable == []
    assert coin.card.further == {"poison_rate": 1.0}
    assert coin.card.dataset == {"name": "shapes", "train_size": 5000}
    assert found["CUDA"].gain is None
    assert found["clean"].recovery is None
    assert [run.draw.key for run in found["clean"].runs] == [None] * 5


def test_what_has_fewer_seeds_is_paired_or_has_no_gain() -> None:
    """A made-up table: the undefended runs of other seeds are at 90 %, so means over different seeds would say that
    the defence harms."""
    none = condition("CUDA", {0: 0.1, 1: 0.9, 2: 0.9}, CUDA)
    short = condition("CUDA · COIN", {0: 0.2}, CUDA, COIN)
    apart = condition("CUDA · grey", {7: 0.95}, CUDA, [{"name": "greyscale"}])
    found = made(CLEAN, none, short, apart)
    coin, grey = found["CUDA · COIN"], found["CUDA · grey"]
    assert coin.accuracy.mean < found["CUDA"].accuracy.mean
    assert coin.gain is not None
    assert (coin.gain.mean, coin.gain.n, coin.gain.verdict) == (pytest.approx(0.1), 1, "cannot be told")
    assert coin.gain.interval is None
    assert grey.gain is None
    assert [words.split(":")[0] for words in grey.unreliable] == ["Few seeds", "Not paired"]


def test_controls_are_found_by_protocol_and_not_by_name() -> None:
    half = condition("half", {0: 0.8, 1: 0.82}, CUDA, rate=0.5)
    found = made(CLEAN, half, DEFENDED, condition("other net", {0: 0.5, 1: 0.5}, CUDA, COIN, model="resnet18"))
    assert found["CUDA · COIN"].gain is None, "half of the images poisoned is another attack"
    assert found["other net"].gain is None
    both = made(CLEAN, half, condition("half · COIN", {0: 0.9, 1: 0.91}, CUDA, COIN, rate=0.5))
    assert both["half · COIN"].gain is not None
    assert made(CLEAN, condition("clean · COIN", {0: 0.9}, None, COIN))["clean · COIN"].gain is not None


def test_declared_comparisons_are_corrected_for_their_number() -> None:
    grey = condition("grey", dict(enumerate((0.5, 0.6, 0.5, 0.4, 0.7))), CUDA, [{"name": "greyscale"}])
    pairs = [("CUDA · COIN", "grey"), ("CUDA · COIN", "CUDA"), ("grey", "not trained yet")]
    found = made(CLEAN, NONE, DEFENDED, grey, comparisons=pairs)
    against_grey, against_none = found["CUDA · COIN"].comparisons
    assert {against_grey.among, against_none.among} == {3}
    assert against_none.p is not None
    assert against_none.adjusted == pytest.approx(3 * against_none.p), "the smallest of three"
    assert against_grey.control == "grey"
    assert found["grey"].comparisons == [], "nothing to compare with yet"
    assert found["CUDA · COIN"].gain.adjusted == found["CUDA · COIN"].gain.p, "the gain over none stands alone"


def test_a_crossed_design_says_how_much_the_key_is() -> None:
    def every(name: str, level: float, defenses: Any = ()) -> Condition:
        runs = [row(s, level + 0.1 * k + 0.001 * s, CUDA, defenses, key=k) for k in range(3) for s in range(3)]
        return Condition(name, tuple(runs))

    found = made(CLEAN, every("CUDA", 0.1), every("COIN", 0.5, COIN))
    coin = found["COIN"]
    assert coin.split is not None
    assert coin.split.key == pytest.approx(1, abs=0.01)
    assert (coin.split.keys, coin.split.seeds, coin.accuracy.n) == (3, 3, 9)
    assert coin.recovery is not None
    assert coin.recovery.n == 3
    assert "Shared draws" not in "".join(coin.unreliable)
    part = entries([Condition("CUDA", every("CUDA", 0.1).rows[:-1])])
    assert any(words.startswith("Shared draws") for words in part[0].unreliable)


def test_doubts() -> None:
    mixed = condition("CUDA", {0: 0.2}, CUDA).rows + condition("CUDA", {1: 0.3}, CUDA, arithmetic="bfloat16").rows
    late = condition("late", dict.fromkeys(range(5), 0.5), CUDA, best=0.75)
    found = made(Condition("CUDA", mixed), late)
    assert [words.split(":")[0] for words in found["CUDA"].unreliable] == ["Few seeds", "Mixed arithmetic"]
    assert found["late"].unreliable == ["Unsteady: the best epochs are 25 points above the last."]


def test_rows_that_are_no_one_condition_are_refused() -> None:
    with pytest.raises(DataError, match="2 different protocols"):
        entries([Condition("x", (row(0, 0.5, CUDA), row(1, 0.5, {**CUDA, "blur": 0.4})))])
    with pytest.raises(DataError, match="counts twice"):
        entries([Condition("x", (row(0, 0.5, CUDA), row(0, 0.6, CUDA)))])
    with pytest.raises(DataError, match="Two entries are called"):
        entries([CLEAN, CLEAN])
    assert entries([Condition("empty", ())]) == []


def test_papers_stand_beside_with_what_differs() -> None:
    rows = {seed: 0.2 for seed in range(5)}
    own = entries(
        [condition("CUDA", rows, CUDA, data="cifar10"), condition("R", rows, CUDA, data="cifar10", model="resnet18")]
    )
    count = sum((r.dataset.key, r.attack.key, r.defense.key) == ("cifar10", "cuda", "none") for r in reported())
    assert len(own[0].reported) == count > 0
    assert all(any("and this entry Small CNN" in words for words in paper.differs) for paper in own[0].reported)
    assert own[0].differs
    ours = [paper for paper in own[1].reported if "ResNet-18" in paper.printed]
    assert ours
    assert not any("trained ResNet-18" in words for paper in ours for words in paper.differs)
    assert all("may differ" in paper.differs[-1] for paper in ours), "no table says all of its protocol"
    assert entries([NONE])[0].reported == [], "no paper reports drawn shapes"


# ---- files -------------------------------------------------------------------------------------


def file_of(*conditions: Condition, **more: Any) -> dict[str, Any]:
    """As a contributor would write it."""
    return json.loads(json.dumps(Record(entries=entries(conditions, **more)).to_json()))


def test_a_file_is_read_back_and_may_leave_out_what_follows() -> None:
    value = file_of(CLEAN, NONE, DEFENDED, comparisons=[("CUDA · COIN", "CUDA")])
    whole = Record.read(value, "The file")
    assert whole.to_json() == value
    kept = ("condition", "card", "runs", "controls", "origin")
    bare = {"version": 1, "entries": [{name: e[name] for name in kept} for e in value["entries"]]}
    assert Record.read(bare, "The file") == whole
    rounded = json.loads(json.dumps(value))
    rounded["entries"][2]["gain"]["mean"] = 0.58
    rounded["entries"][2]["accuracy"]["mean"] = 0.83
    assert Record.read(rounded, "The file") == whole


def changed(path: str, new: Any) -> dict[str, Any]:
    value = file_of(CLEAN, NONE, DEFENDED)
    place: Any = value
    *ways, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for way in ways:
        place = place[way]
    place[last] = new
    return value


@pytest.mark.parametrize(
    ("path", "new", "words"),
    [
        ("entries/2/gain/mean", 0.7, r"gain\.mean of 'CUDA · COIN' is 0\.7, but its runs give 0\.58"),
        ("entries/2/gain/verdict", "worse", "gain.verdict"),
        ("entries/2/accuracy/n", 50, "accuracy.n"),
        ("entries/2/accuracy/interval", [0.82, 0.84], r"accuracy\.interval\[0\]"),
        ("entries/1/recovery", {"share": 1.0}, "recovery"),
        ("entries/0/runs/0/accuracy", 1.5, "runs.0.accuracy of it is 1.5"),
        ("entries/0/runs/0/accuracy", float("nan"), "runs.0.accuracy"),
        ("entries/0/runs", [], "runs of it is an empty list"),
        ("entries/0/condition", "", "condition of it"),
        ("entries/0/card/model", "small_cnn", "card.model of it"),
        ("entries/0/invented", 1, "invented"),
        ("entries/2/controls", ["LSP"], "'LSP', which is not in it"),
        ("entries/1/condition", "clean", "Two entries are called 'clean'"),
        ("entries/1/runs/1/seed", 7, r"gain\.n of"),
        ("version", 2, "version 2"),
        ("version", None, "version None"),
        ("more", 1, "unknown field 'more'"),
        ("entries", [], "no entries"),
        ("entries", {}, "no record"),
        ("entries", [3], "no JSON object"),
    ],
)
def test_a_wrong_file_is_refused_and_says_why(path: str, new: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Record.read(changed(path, new), "The file")


def test_the_schema_names_what_must_be_there() -> None:
    entry = schema()["$defs"]["Entry"]
    assert sorted(entry["required"]) == ["card", "condition", "runs"]
    assert set(entry["properties"]) == set(Entry.model_fields)


# ---- home --------------------------------------------------------------------------------------


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    return tmp_path


def test_contributions_are_kept_and_never_overwritten(own_home: Path) -> None:
    first = Record.read(file_of(CLEAN, NONE, DEFENDED), "x")
    other = Record.read(file_of(CLEAN, NONE), "x")
    assert record_sources.add(first, "mine")
    assert not record_sources.add(first, "mine"), "the same again"
    with pytest.raises(DataError, match="says something else"):
        record_sources.add(other, "mine")
    with pytest.raises(DataError, match="stand in the record already"):
        record_sources.add(other, "again")
    assert list(record_sources.contributed([])) == ["mine"]
    assert record_sources.add(other, "mine", replace=True)
    assert record_sources.contributed([])["mine"] == other
    for name in ("", "../x", "a/b", ".hidden", "x" * 65):
        with pytest.raises(DataError, match="cannot be kept"):
            record_sources.add(first, name)
    assert sorted(path.name for path in (own_home / "record").iterdir() if path.suffix == ".json") == ["mine.json"]


def test_a_damaged_contribution_takes_nothing_else_away(own_home: Path) -> None:
    record_sources.add(Record.read(file_of(CLEAN, NONE), "x"), "good")
    (own_home / "record" / "bad.json").write_text("{")
    (own_home / "record" / "odd.json").write_text('{"version": 1, "entries": [{}]}')
    damage: list[str] = []
    found = record_sources.every(damage)
    assert len(damage) == 2
    assert "bad.json" in damage[0]
    assert found[-1].origin == "contributed: good"
    assert len(found) == len(record_sources.shipped()) + 2


def test_the_shipped_record_has_every_condition_once() -> None:
    found = record_sources.shipped()
    assert len({entry.id for entry in found}) == len(found)
    coin = next(e for e in found if e.condition == "CUDA + COIN" and e.card.plan["name"] == "adamw")
    assert coin.gain is not None
    assert coin.gain.control == "CUDA"


# ---- tables ------------------------------------------------------------------------------------


def test_tables_are_escaped() -> None:
    odd = condition("=1+1|a_b & 50 % {x} <i>", dict(enumerate((0.2, 0.3, 0.25, 0.15, 0.35))), CUDA)
    found = entries([CLEAN, odd, DEFENDED])
    (header, *lines) = csv.reader(io.StringIO(csv_table(found), newline=""))
    place = header.index("condition")
    assert lines[1][place] == "'=1+1|a_b & 50 % {x} <i>"
    assert float(lines[2][header.index("gain")]) == pytest.approx(0.58)
    markdown = markdown_table(found).splitlines()
    assert len(markdown) == 2 + len(found)
    assert r"=1+1\|a\_b & 50 % {x} \<i\>" in markdown[3]
    assert all(line.replace(r"\|", "").count("|") == markdown[0].count("|") for line in markdown)
    latex = latex_table(found)
    assert r"=1+1|a\_b \& 50 \% \{x\} \textless{}i\textgreater{}" in latex
    assert r"CUDA $\cdot$ COIN" in latex
    assert "+58.0 [54, 62] n5: better" in markdown_table(found).replace("\\", "")
