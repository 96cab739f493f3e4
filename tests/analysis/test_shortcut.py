"""The shortcut probe's numbers by hand."""

import json

import numpy as np
import pytest

from ued_core.analysis.shortcut import shortcut_probe, wrong_classes


def test_by_hand() -> None:
    labels = np.array([0, 0, 1, 1, 2])
    wrong = np.array([1, 2, 0, 2, 0])
    clean = np.array([0, 1, 1, 1, 1])
    own = np.array([0, 0, 1, 2, 2])
    crossed = np.array([1, 0, 0, 2, 1])
    probe = shortcut_probe(labels, wrong, clean, own, crossed, classes=4)
    assert probe.clean_histogram == (0.2, 0.8, 0.0, 0.0)
    assert probe.clean_accuracy == pytest.approx(3 / 5)
    assert probe.own_accuracy == pytest.approx(4 / 5)
    # Images 1, 3 and 4 follow the perturbation, 2 follows the shape, 5 neither.
    assert probe.wrong_perturbation_rate == pytest.approx(3 / 5)
    assert probe.wrong_true_rate == pytest.approx(1 / 5)
    assert probe.wrong_other_rate == pytest.approx(1 / 5)
    assert probe.images == 5
    assert json.loads(json.dumps(probe.to_json())) == probe.to_json()


@pytest.mark.parametrize(
    ("follows", "rates"), [("shape", (1, 0, 0)), ("perturbation", (0, 1, 0)), ("neither", (0, 0, 1))]
)
def test_pure_models(follows: str, rates: tuple[float, float, float]) -> None:
    labels = np.arange(30) % 3
    wrong = wrong_classes(labels, 3, np.random.default_rng(0))
    crossed = {"shape": labels, "perturbation": wrong, "neither": 3 - labels - wrong}[follows]
    probe = shortcut_probe(labels, wrong, labels, labels, crossed, classes=3)
    assert (probe.wrong_true_rate, probe.wrong_perturbation_rate, probe.wrong_other_rate) == pytest.approx(rates)


def test_wrong_classes_are_wrong_and_uniform() -> None:
    labels = np.arange(40_000) % 5
    wrong = wrong_classes(labels, 5, np.random.default_rng(1))
    assert not (wrong == labels).any()
    assert set(wrong.tolist()) == set(range(5))
    for label in range(5):
        counts = np.bincount(wrong[labels == label], minlength=5)
        assert counts[label] == 0
        # Five standard deviations of a binomial count with p = 1/4.
        assert np.abs(np.delete(counts, label) - 2000).max() < 5 * (8000 * 3 / 16) ** 0.5
