"""Runs as conditions, and the number in which conditions differ."""

from ued_core.runs import RunRecord, RunSpec
from ued_core.studies.conditions import MOST_LEVELS, conditions, one_number


def spec(seed=0, key=None, images=0, **parts):
    small = {"name": "fashion", "train_size": 200, "test_size": 100, "seed": images}
    return RunSpec.from_json(
        {"dataset": small, "attack": "cuda", "seed": seed, "attack_seed": seed if key is None else key, **parts}
    )


def coin(strength, **more):
    return spec(defenses=[{"name": "coin", "strength": strength}], **more)


def records(*specs):
    return [RunRecord(id=str(k), spec=own.to_json()) for k, own in enumerate(specs)]


def ids(found):
    return [[record.id for record in group] for group in found]


def test_key_and_images_are_draws_where_they_go_with_the_seed():
    """A study's seed sets all three."""
    runs = records(coin(1.0, seed=0), spec(seed=0), coin(1.0, seed=1, images=1), coin(1.0, seed=2, images=2))
    assert ids(conditions(runs)) == [["0", "2", "3"], ["1"]]


def test_keys_that_somebody_varied_are_conditions():
    runs = records(*(spec(seed=seed, key=key) for key in (5, 6) for seed in (0, 1)))
    assert ids(conditions(runs)) == [["0", "1"], ["2", "3"]]


def test_the_same_draws_twice_are_no_second_sample():
    assert ids(conditions(records(spec(0), spec(1), spec(0)))) == [["0", "1"], ["2"]]


def test_a_sweep_is_a_line_with_its_levels():
    varied = one_number([coin(2.0), spec(), coin(0.5), spec(attack=None), coin(1.0)])
    assert (varied.parameter.name, varied.of, varied.place) == ("strength", "COIN", ("defenses", 0, "strength"))
    assert varied.lines == ((2, 4, 0),), "in the order of the number"
    assert varied.levels == (1, 3)
    assert [varied.values[k] for k in varied.lines[0]] == [0.5, 1.0, 2.0]


def test_attacks_are_lines_of_their_own():
    region = [coin(a, attack="region") for a in (1.0, 2.0)]
    varied = one_number([coin(1.0), coin(2.0), *region])
    assert varied.lines == ((0, 1), (2, 3))


def test_no_line_without_a_number_alone():
    assert one_number([spec(), spec(attack=None)]) is None
    jpeg = spec(defenses=["jpeg"])
    assert one_number([coin(1.0), jpeg]) is None
    others = [spec(defenses=[name]) for name in ("jpeg", "greyscale", "bit_depth", "gaussian_blur", "cutout")]
    assert len(others) > MOST_LEVELS
    assert one_number([coin(1.0), coin(2.0), *others]) is None, "most of them are about something else"
    assert one_number([coin(1.0), None]) is None


def test_numbers_of_the_run_itself_count():
    varied = one_number([spec(poison_rate=rate) for rate in (1.0, 0.5)])
    assert (varied.parameter.name, varied.of, varied.lines) == ("poison_rate", "", ((1, 0),))
