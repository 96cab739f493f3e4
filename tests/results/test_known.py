"""What stored runs say of a choice, on tables made by hand."""

import json

import pytest

from ued_core.results import known as module
from ued_core.results.known import attacks_alone, known, where_it_works, with_defences
from ued_core.runs.spec import RunSpec


def spec(seed=0, **parts):
    small = {"name": "fashion", "train_size": 100, "test_size": 100, "seed": seed}
    return RunSpec.from_json({"dataset": small, "seed": seed, "attack_seed": seed, **parts}).to_json()


def row(last, seed, **parts):
    return {"key": f"{last}{seed}{parts}", "spec": spec(seed, **parts), "seed": seed, "last": last}


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "asset", lambda *parts: tmp_path.joinpath(*parts[1:]))

    def write(*rows, name="some.json"):
        (tmp_path / name).write_text(json.dumps(rows))

    return write


CUDA, COIN = {"attack": "cuda"}, {"defenses": ["coin"]}


def test_loss_and_gain_are_of_the_same_seeds(tables):
    tables(
        *(row(value, seed) for seed, value in enumerate([0.90, 0.92, 0.94])),
        *(row(value, seed, **CUDA) for seed, value in enumerate([0.20, 0.24, 0.22])),
        # Seeds 1 and 7: only seed 1 has a partner.
        row(0.74, 1, **CUDA, **COIN),
        row(0.10, 7, **CUDA, **COIN),
    )
    alone = known(spec(5, **CUDA))
    assert alone is not None
    assert alone.accuracy.mean == pytest.approx(0.22)
    assert alone.clean.mean == pytest.approx(0.92)
    assert alone.loss is not None
    assert alone.loss.gain.mean == pytest.approx(0.70)
    assert alone.works
    assert alone.gain is None
    defended = known(spec(**CUDA, **COIN))
    assert defended is not None
    assert defended.accuracy.count == 2
    assert defended.gain is not None
    assert (defended.gain.gain.count, defended.gain.gain.mean) == (1, pytest.approx(0.50))
    assert defended.gain.word == "cannot be told"


def test_other_parameters_sizes_rates_and_labels_are_other_choices(tables):
    tables(row(0.9, 0), row(0.2, 0, **CUDA))
    assert known(spec(attack={"name": "cuda", "blur": 0.5})) is None
    assert known(spec(**CUDA, poison_rate=0.5)) is None
    assert known(spec(**CUDA, relabel="blocks")) is None
    large = spec(**CUDA)
    assert known({**large, "dataset": {**large["dataset"], "train_size": 5000}}) is None
    assert known(spec(3, **CUDA)) is not None


def test_the_own_recipe_comes_before_one_with_more_runs(tables):
    long = {"plan": {"name": "adamw", "epochs": 30}}
    tables(*(row(0.3, seed, **CUDA, **long) for seed in range(3)), row(0.2, 0, **CUDA))
    own = known(spec(**CUDA))
    other = known(spec(**CUDA, plan={"name": "adamw", "epochs": 99}))
    assert own is not None
    assert other is not None
    assert own.accuracy.mean == pytest.approx(0.2)
    assert other.accuracy.mean == pytest.approx(0.3)


def test_an_attack_works_where_its_loss_is_beyond_the_spread(tables):
    digits = {"dataset": {"name": "digits"}}
    tables(
        *(row(0.90 + seed / 100, seed) for seed in range(3)),
        *(row(0.20 + seed / 200, seed, **CUDA) for seed in range(3)),
        *(row(0.99, seed, **digits) for seed in range(3)),
        *(row(0.90 + 0.05 * seed, seed, **digits, **CUDA) for seed in range(3)),
    )
    found = where_it_works(spec(**CUDA)["attack"])
    assert [json.loads(k.recipe.dataset)["name"] for k in found] == ["fashion"]
    assert where_it_works(spec(attack="vuda")["attack"]) == []


def test_defences_are_listed_with_the_best_first(tables):
    jpeg = {"defenses": ["jpeg"]}
    tables(row(0.2, 0, **CUDA), row(0.7, 0, **CUDA, **COIN), row(0.3, 0, **CUDA, **jpeg), row(0.8, 0, **COIN))
    found = with_defences(spec(**CUDA))
    assert [[d["name"] for d in json.loads(stack)] for stack in found] == [["coin"], ["jpeg"], []]
    assert with_defences(spec(attack="vuda")) == {}


def test_tables_without_runs_are_passed_over_and_a_changed_one_is_read_again(tables):
    tables({"name": "no run", "value": 3}, name="other.json")
    assert known(spec()) is None
    tables(row(0.9, 0), name="more.json")
    assert known(spec()) is not None


def test_shipped_runs_are_found():
    found = known(RunSpec.from_json({"dataset": "shapes", "attack": "cuda"}).to_json())
    assert found is not None
    assert found.works


def test_runs_that_share_a_key_or_images_are_no_sample(tables):
    shared = [spec(0, **CUDA) | {"seed": seed, "attack_seed": key} for seed, key in ((0, 1), (1, 0), (1, 1))]
    crossed = [{"key": f"x{n}", "spec": own, "seed": own["seed"], "last": 0.9} for n, own in enumerate(shared)]
    tables(row(0.9, 0), row(0.2, 0, **CUDA), row(0.3, 1, **CUDA), name="a.json")
    tables(*crossed, name="b.json")
    found = known(spec(**CUDA))
    assert found is not None
    assert (found.accuracy.count, found.accuracy.mean) == (2, pytest.approx(0.25))
    assert len(found.draws) == 2


def test_attacks_alone_are_of_the_own_recipe_and_the_largest_loss_comes_first(tables):
    long = {"plan": {"name": "adamw", "epochs": 30}}
    tables(
        row(0.9, 0),
        row(0.7, 0, **CUDA),
        row(0.3, 0, attack="em"),
        row(0.1, 0, attack="tap", **long),
        row(0.5, 0, **CUDA, **COIN),
        row(0.2, 3, attack="synper"),
    )
    found = attacks_alone(spec(4))
    assert [json.loads(attack)["name"] for attack in found] == ["em", "cuda", "synper"]
    assert [one.loss and one.loss.gain.count for one in found.values()] == [1, 1, None]
