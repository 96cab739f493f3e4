"""What docs/results.md says follows the rows: on tables made by hand, other numbers give other words."""

import json

import pytest

from benchmarks.statements import attacks, defences, detection, edges, features, phenomenon, questions, staged
from benchmarks.statements.stored import COIN, COMMON, CUDA, JPEG
from tests.results.test_open_answers import runs
from tests.results.test_open_questions import coin
from ued_core.results.open_answers import answer_to
from ued_core.results.row import ResultRow

CLEAN = ("shapes", None, [], [0.96, 0.97, 0.98])
FALLEN = [0.20, 0.22, 0.21]
UNSURE = [0.97, 0.20, 0.99]


def probe(right, followed):
    rates = {"clean_accuracy": 0.2, "own_accuracy": 1.0, "wrong_true_rate": right, "wrong_perturbation_rate": followed}
    return {"probe": {**rates, "wrong_other_rate": 0.0, "clean_histogram": [1.0], "images": 100}}


# ---- the central table -------------------------------------------------------------------------


def test_what_cuda_takes_beyond_blur_and_what_coin_gives_follow_the_rows(table):
    common, coin_after = ("shapes", COMMON, [], [0.90, 0.92, 0.91]), ("shapes", CUDA, [COIN], [0.80, 0.81, 0.83])
    table(CLEAN, ("shapes", CUDA, [], FALLEN), common, coin_after, ("shapes", None, [COIN], [0.91, 0.92, 0.93]))
    line = phenomenon.words().splitlines()[0]
    # (76 + 75 + 77) / 3, (70 + 70 + 70) / 3 with no interval, (60 + 59 + 62) / 3
    assert "CUDA takes 76.0 [" in line
    assert "COIN gives back 60.3 [" in line
    assert "(3 seeds)" in line
    assert "COIN changes the accuracy by −5.0 points" in line
    table(CLEAN, ("shapes", CUDA, [], UNSURE), common, ("shapes", CUDA, [COIN], [0.10, 0.11, 0.12]))
    line = phenomenon.words().splitlines()[0]
    assert "whether CUDA takes anything cannot be told (+25.0 [" in line
    assert "whether COIN gives anything back cannot be told" in line
    assert "blur" not in line, "what was not taken is not divided"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([(0.8, 0.1), (0.7, 0.2), (0.8, 0.2)], "so they learned more than the filter"),
        ([(0.1, 0.8), (0.2, 0.7), (0.2, 0.8)], "so they follow the filter before the picture"),
        ([(0.1, 0.8), (0.8, 0.1), (0.5, 0.5)], "and whether they follow the picture or the filter cannot be told"),
    ],
)
def test_what_models_learned_follows_the_probes(table, values, words, tmp_path):
    table(CLEAN, ("shapes", CUDA, [], FALLEN, {}))

    file = tmp_path / "rows.json"
    rows = json.loads(file.read_text())
    poisoned = [row for row in rows if row["spec"]["attack"]]
    for row, rates in zip(poisoned, values, strict=True):
        row.update(probe(*rates))
    file.write_text(json.dumps(rows))
    assert words in phenomenon.words()


# ---- attacks and defences ----------------------------------------------------------------------


def test_an_attack_is_named_under_what_can_be_told_of_it(table):
    em, lsp, tap = "em", "synper", "tap"
    table(CLEAN, ("shapes", em, [], FALLEN), ("shapes", lsp, [], UNSURE), ("shapes", tap, [], [0.96, 0.98, 0.97]))
    head, harm, low, rest = attacks.words().splitlines()
    assert head == "- **On shapes**:"
    assert harm.startswith("  - 1 of 3 attacks take accuracy: EM −76.0 [")
    assert "seeds differ too much to tell: LSP −25.0? [" in low
    assert rest == "  - nothing can be told of TAP, whose means stay within 0.0 points of clean images"
    table(CLEAN, ("shapes", em, [], [0.98, 0.985, 0.995]))
    assert attacks.words().splitlines()[1:] == [
        "  - no attack is seen to take accuracy",
        "  - accuracy rises with EM +1.7 [0.9, 2.4] n3",
    ]


def test_the_encoder_of_clusters_and_the_release_are_judged(table):
    digits = ("digits", None, [], [0.99, 0.98, 0.99])
    labelled, proxy = ("digits", attacks.LABELLED, [], FALLEN), ("digits", attacks.PROXY, [], [0.97, 0.98, 0.96])
    em, released = {"name": "em"}, {"name": "em", "as_released": True}
    table(digits, labelled, proxy, ("digits", em, [], FALLEN), ("digits", released, [], [0.5, 0.51, 0.53]))
    text = attacks.words()
    assert "the one that knows the labels takes 76.0 [" in text
    assert "it takes 30.3 [" in text
    assert "points (3 seeds) less." in text
    table(digits, ("digits", em, [], FALLEN), ("digits", released, [], [0.1, 0.9, 0.3]))
    assert "whether it is weaker cannot be told" in attacks.words()


def small(attack, stack, values):
    return ({"dataset": defences.SMALL.dataset, "plan": defences.BATCHES_OF_64}, attack, stack, values)


def test_what_helps_what_costs_and_what_is_the_same_follow_the_rows(table):
    clean, fallen = small(None, [], [0.95, 0.94, 0.96]), small(CUDA, [], FALLEN)
    coin_helps, same = small(CUDA, [COIN], [0.60, 0.66, 0.65]), small(CUDA, ["gaussian_as_published"], FALLEN)
    table(clean, fallen, coin_helps, same, small(CUDA, [JPEG], UNSURE), small(None, [COIN], [0.8, 0.82, 0.83]))
    text = defences.words()
    assert "  - after CUDA 1 of 3: COIN +42.7 [" in text
    assert "on clean 2,000 shapes, 1 of 1: COIN −13.3 [" in text
    assert "**Nowhere can a gain be told** of Gaussian as published (changes nothing) and JPEG." in text
    assert "Gaussian as published (changes nothing) ends where no defence does in all of its 3 runs." in text
    other = small(CUDA, ["gaussian_as_published"], [*FALLEN[:2], 0.3])
    table(clean, fallen, small(CUDA, [COIN], UNSURE), other, small(CUDA, [JPEG], UNSURE))
    text = defences.words()
    assert "  - after CUDA none of 3; the largest change is" in text
    assert "ends where no defence does" not in text
    assert "cost accuracy" not in text


def test_one_seed_alone_is_said_to_be_one(table):
    table(small(None, [], [0.95]), small(CUDA, [], [0.2]), small(CUDA, ["greyscale"], [0.8]))
    assert "  - after CUDA on 2,000 shapes Greyscale +60.0? n1" in defences.words()


# ---- open questions ----------------------------------------------------------------------------


def test_answers_are_those_of_the_page_and_follow_the_rows():
    def rows(*costly):
        plain = runs("none", [0.95, 0.95, 0.96])
        return [*plain, *runs("α = 2", list(costly), defenses=coin(2.0))]

    dear = rows(0.80, 0.81, 0.83)
    assert f"- **Clean data** (b): {answer_to('b', dear, []).verdict} " in questions.words({"b": dear}, [])
    assert "COIN costs accuracy on Shapes" in questions.words({"b": dear}, [])
    assert "cannot be told whether COIN costs accuracy" in questions.words({"b": rows(0.99, 0.70, 0.99)}, [])
    assert "- **Best strength** (h): Not measured yet." in questions.words({"b": dear, "h": []}, [])
    assert "(h)" not in questions.words({"b": dear}, []), "asked elsewhere"


# ---- staged training ---------------------------------------------------------------------------


def digits(attack, stack, values):
    recipe = {"dataset": "digits", "plan": staged.SHORT, "model": staged.SMALL_CNN}
    return (recipe, attack, stack, values)


def test_staged_training_is_judged_attack_by_attack_against_plain_or_watched_training(table):
    table(
        digits("synper", [staged.WATCHED], FALLEN),
        digits("synper", [staged.ST], [0.60, 0.61, 0.66]),
        digits("synper", [staged.COLOURS], [0.90, 0.91, 0.95]),
        digits("em", [], [0.90, 0.93, 0.90]),
        digits("em", [staged.ST], FALLEN),
    )
    text = staged.words()
    assert "on digits helps after LSP +41.3 [" in text
    assert "; harms after EM −70.0" in text
    assert "  - against colour augmentation alone: worse after LSP −29.7 [" in text
    table(digits("synper", [], FALLEN), digits("synper", [staged.ST], UNSURE))
    assert "on digits cannot be told to help after LSP +51.0? [" in staged.words()


# ---- features, borders, tests of a set ---------------------------------------------------------


def quality(attack, seed, trained, refitted, untrained):
    spec = {"attack": None if attack == "clean" else {"name": attack}, "dataset": {"name": "shapes"}}
    row = {"dataset": "shapes", "attack": attack, "seed": seed, "key": f"{attack}{seed}", "spec": spec}
    return ResultRow.from_json({**row, "as_trained": trained, "refitted": refitted, "untrained": untrained})


def test_features_are_there_where_untrained_ones_do_not_reach_them():
    clean = quality("clean", 0, 0.95, 0.97, 0.35)
    text = features.words([clean, quality("cuda", 0, 0.2, 0.95, 0.35), quality("em", 0, 0.3, 0.70, 0.35)])
    assert "(one seed" in text
    assert "features are there" in text
    assert "1 of 2 come within 5 points of it; further away are em (70.0 %)." in text
    text = features.words([quality("clean", 0, 0.95, 0.97, 0.96), quality("cuda", 0, 0.2, 0.95, 0.96)])
    assert "no test of the features: those of an untrained network reach 96.0 %" in text


def border(attack, padding, score, finding, against="clean", auc=0.99):
    row = {"dataset": "shapes", "attack": attack, "blur": 0.3, "padding": padding, "against": against}
    return {**row, "convolution": False, "trained_auc": 0.7, "free_auc": auc, "score": score, "finding": finding}


def test_the_border_score_is_said_to_find_what_it_found():
    rows = [border("cuda", "zero", 0.5, "darkened"), border("cuda", "reflect", 0.01, "not darkened")]
    record = {"threshold": 0.1, "clean": {"shapes": {"score": 0.01}}, "rows": rows}
    text = edges.words(record)
    assert "0.1 lies between the scores" in text
    assert "finds 1 of 1 zero-padded sets" in text
    assert "of those that reflect on shapes it finds 0 of 1" in text
    rows = [
        border("cuda", "zero", 0.05, "not darkened"),
        border("cuda", "reflect", 0.5, "darkened"),
        border("cuda", "zero", 0.05, "not darkened", "em", 0.6),
    ]
    text = edges.words({**record, "rows": rows})
    assert "0.1 does not lie between the scores" in text
    assert "finds 0 of 1 zero-padded sets" in text
    assert "on shapes it finds 1 of 1" in text
    assert "with an AUC below 0.9 for em on shapes; the lowest is 0.60" in text


def examined(title, *found):
    evidence = [{"test": test, "suspicious": test in found} for test in ("linear", "mlp", "bias_shift", "border")]
    return {"dataset": "shapes", "title": title, "attack": None if title == "clean" else {}, "evidence": evidence}


def test_a_test_that_rings_on_clean_images_says_nothing():
    text = detection.words([examined("clean"), examined("LSP", "linear"), examined("AR")])
    assert "Linear model: finds 1 of 2 attacks: LSP" in text
    assert "No test that is silent on clean images finds AR" in text
    text = detection.words([examined("clean", "linear"), examined("LSP", "linear"), examined("CUDA", "border")])
    assert "Linear model: rings on clean images too, so its alarms on 1 of 2 attacks say nothing" in text
    assert "No test that is silent on clean images finds LSP" in text
