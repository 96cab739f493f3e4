"""Layouts of features: which points, in which order, from which features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ued_core.analysis.embedding import pca_layout
from ued_core.analysis.reference import reference_network
from ued_core.attacks import Cuda
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses import Coin, DefenseStack
from ued_core.records import Embedding, ImageSet, balanced_rows
from ued_core.studies.layout import COPIES, copies, lay_out, summary_of
from ued_core.training import features


@pytest.fixture(scope="module")
def chosen() -> tuple[ImageSet, np.ndarray]:
    data = DATASETS.build("shapes", train_size=200, test_size=100).load(Context()).train
    rows = balanced_rows(data.labels, 4, 0)
    return data.take(rows), rows


def test_copies_are_what_attack_and_defence_make(chosen: tuple[ImageSet, np.ndarray]) -> None:
    data, _ = chosen
    made = copies(data, Cuda(), 7, DefenseStack([Coin()]), 3)
    assert tuple(made) == COPIES
    poisoned = Cuda().poison(data, Context(seed=7)).as_training_set()
    assert torch.equal(made["clean"].images, data.images)
    assert torch.equal(made["poisoned"].images, poisoned.images)
    assert torch.equal(made["defended"].images, DefenseStack([Coin()]).preview(poisoned, Context(seed=3)).images)
    plain = copies(data, None, 7, DefenseStack(), 3)
    assert torch.equal(plain["poisoned"].images, data.images)
    assert torch.equal(plain["defended"].images, data.images)


def test_pca_layout_of_the_copies(chosen: tuple[ImageSet, np.ndarray]) -> None:
    data, rows = chosen
    made = {name: part.images for name, part in copies(data, Cuda(), 7, DefenseStack([Coin()]), 3).items()}
    laid = lay_out(made, data.labels.numpy(), rows, "shapes", "pca")
    assert laid.points.shape == (3 * len(rows), 2)
    assert np.isfinite(laid.points).all()
    assert laid.group.tolist() == [name for name in COPIES for _ in rows]
    assert laid.rows.tolist() == rows.tolist() * 3
    assert laid.labels.tolist() == data.labels.tolist() * 3
    assert (laid.method, laid.source) == ("pca", "shapes")
    vectors = np.concatenate([features(reference_network("shapes"), part, Context()).numpy() for part in made.values()])
    assert np.allclose(laid.points, pca_layout(vectors), atol=1e-4)


def test_a_new_layout_turns_towards_the_previous_one(chosen: tuple[ImageSet, np.ndarray]) -> None:
    data, rows = chosen
    made = {name: part.images for name, part in copies(data, Cuda(), 7, DefenseStack([Coin()]), 3).items()}
    plain = lay_out(made, data.labels.numpy(), rows, "shapes", "pca").points
    turned = plain[:, ::-1] * np.float32([1, -1])
    near = lay_out(made, data.labels.numpy(), rows, "shapes", "pca", previous=turned).points
    assert np.linalg.norm(near - turned) < 0.1 * np.linalg.norm(plain - turned)
    other_size = lay_out(made, data.labels.numpy(), rows, "shapes", "pca", previous=turned[:-1]).points
    assert np.allclose(other_size, plain, atol=1e-4)


def test_summary_by_hand() -> None:
    clean = np.array([[0, 0], [3, 0], [0, 4]], np.float32)
    points = np.concatenate([clean, clean + np.float32([0, 1]), clean + np.float32([3, 4])])
    group = np.repeat(np.array(COPIES), 3)
    rows = np.tile(np.arange(3), 3)
    distances = summary_of(Embedding(points, rows, rows, group, "pca", "shapes"))
    diameter = (6**2 + 8**2) ** 0.5
    assert distances == pytest.approx({"clean": 0.0, "poisoned": 1 / diameter, "defended": 5 / diameter})
