"""How much of the spread is the key's follows the rows: on made-up tables of every key under every seed."""

import pytest

from benchmarks.statements import key_and_seed
from benchmarks.study_tables import key_and_seed as table
from ued_core.results.row import ResultRow

NOISE = ((0.00, 0.01, 0.00), (0.01, 0.00, 0.02), (0.00, 0.01, 0.01))


def rows(condition, by_key, by_seed, without=()):
    """Three keys under three seeds: 30 % and what key, seed and noise add."""
    stack = [] if condition == "none" else [{"name": "coin"}]
    return [
        ResultRow.from_json({
            "key": f"{condition}{key}{seed}", "condition": condition, "seed": seed,
            "last": 0.3 + by_key * key + by_seed * seed + NOISE[key][seed],
            "spec": {
                "attack": {"name": "cuda"}, "attack_seed": key, "seed": seed, "dataset": {"seed": 0}, "defenses": stack
            },
        })
        for key in range(3) for seed in range(3) if (key, seed) not in without
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by_key", "by_seed", "words"),
    [
        (0.1, 0.0, "the key matters; of the training seed it cannot be told."),
        (0.0, 0.1, "the training seed matters; of the key it cannot be told."),
        (0.05, 0.1, "both key and training seed matter, the training seed more."),
        (0.1, 0.05, "both key and training seed matter, the key more."),
        (0.0, 0.0, "it cannot be told of either that it matters."),
    ],
)
def test_the_answer_follows_the_shares(by_key, by_seed, words):
    line = key_and_seed.words(rows("none", by_key, by_seed))
    assert line.startswith(f"- **no defence:** {words} With 3 keys and 3 seeds, one run has a standard deviation of ")


def test_what_a_defence_adds_is_split_too():
    found = [*rows("COIN", 0.0, 0.1), *rows("none", 0.1, 0.0)]
    lines = key_and_seed.words(found).splitlines()
    assert [line.split(":**")[0] for line in lines] == ["- **no defence", "- **COIN", "- **COIN over no defence"]
    assert "both key and training seed matter" in lines[2] or "all runs are equal" in lines[2]


def test_equal_runs_and_missing_ones_are_said_to_be_so():
    equal = [row.model_copy(update={"last": 0.5}) for row in rows("none", 0, 0)]
    equal = [ResultRow.from_json({**row.to_json(), "last": 0.5}) for row in equal]
    assert "neither key nor training seed changes anything" in key_and_seed.words(equal)
    partial = key_and_seed.words(rows("none", 0.1, 0.0, without=((2, 2),)))
    assert partial == "- **no defence:** 8 runs, not yet every key with every seed, so nothing can be said of the key."
    assert key_and_seed.words([]).startswith("Not measured yet. ")
    assert table([]) == ""


def test_the_table_has_every_run_its_margins_and_the_shares():
    text = table([*rows("none", 0.1, 0.0), *rows("COIN", 0.1, 0.0, without=((0, 1),))])
    assert text.splitlines()[:6] == [
        "| no defence | seed 0 | seed 1 | seed 2 | mean |",
        "|---|---|---|---|---|",
        "| key 0 | 30.0 | 31.0 | 30.0 | 30.3 |",
        "| key 1 | 41.0 | 40.0 | 42.0 | 41.0 |",
        "| key 2 | 50.0 | 51.0 | 51.0 | 50.7 |",
        "| mean | 40.3 | 40.7 | 41.0 | 40.7 |",
    ]
    assert "| key 0 | 30.0 |  | 30.0 | 30.0 |" in text
    assert "| COIN | 41.9 (n = 8) |  |  |  |  |" in text
    # The keys' means are 30.3, 41 and 50.7: nearly all of the variance.
    assert "| no defence | 40.7 (n = 9) | 10.2 | 99 % (p < 0.001) |" in text
