"""What a defence leaves: counted on the same pictures that a page shows, by a poisoned and by a clean network."""

from __future__ import annotations

import pickle

import pytest
import torch

from ued_core.analysis.reference import reference_network
from ued_core.attacks import Cuda
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.defenses import Coin, DefenseStack
from ued_core.errors import DataError, ParameterError
from ued_core.records import ImageSet, balanced_rows
from ued_core.studies.left_over import Left, left_over
from ued_core.training import predict

NETWORKS = ("fashion-cuda", "fashion")
COIN = DefenseStack([Coin()])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> ImageSet:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UED_HOME", str(tmp_path_factory.mktemp("home")))
        test = load_split(DATASETS.build("fashion"), Context()).test
    return test.take(balanced_rows(test.labels, 20, 0))


def test_coin_takes_the_poison_before_the_shapes(pictures: ImageSet) -> None:
    """The story of the page: at 2 px the poisoned network does little better than guessing, and the clean one, which
    knows neither filters nor shaking, still reads most of what it read before."""
    published, still, best = left_over(pictures, Cuda(), 0, COIN, "strength", (None, 0.0, 2.0), 0, *NETWORKS)
    assert (published.value, still.value, best.value) == (None, 0.0, 2.0)
    assert published.poison == still.poison > 0.9
    assert published.shape == still.shape
    assert best.poison < 0.2
    assert 0.5 * published.shape < best.shape < published.shape
    assert {left.images for left in (published, still, best)} == {len(pictures)} == {200}


def test_it_counts_what_the_networks_answer(pictures: ImageSet) -> None:
    """Counted here by hand, with the hooks that a page's tiles come from."""
    (left,) = left_over(pictures, Cuda(), 0, COIN, "strength", (1.5,), 3, *NETWORKS)
    poisoned = Cuda().preview(pictures, 0)
    seen = DefenseStack([Coin(strength=1.5)]).preview(poisoned.as_training_set(), Context(seed=3)).images
    right = [
        sum(
            answer == label
            for answer, label in zip(
                predict(reference_network(name), seen, Context()).tolist(), pictures.labels.tolist(), strict=True
            )
        )
        for name in NETWORKS
    ]
    assert left == Left(1.5, right[0] / 200, right[1] / 200, 200)
    assert left_over(pictures, poisoned, 0, COIN, "strength", (1.5,), 3, *NETWORKS) == (left,)


def test_the_same_seed_gives_the_same_and_it_travels(pictures: ImageSet) -> None:
    some = pictures.take(torch.arange(60))
    once, again = (left_over(some, Cuda(), 0, COIN, "strength", (1.0, 3.0), 5, *NETWORKS) for _ in range(2))
    assert once == again == pickle.loads(pickle.dumps(once))
    assert [left.value for left in once] == [1.0, 3.0]


def test_what_cannot_be_asked(pictures: ImageSet) -> None:
    some = pictures.take(torch.arange(10))
    with pytest.raises(ParameterError, match="sharpness"):
        left_over(some, Cuda(), 0, COIN, "sharpness", (1.0,), 0, *NETWORKS)
    two = ImageSet(some.images, some.labels % 2, ("a", "b"), "two")
    with pytest.raises(DataError, match=r"'fashion-cuda' tells 10 classes apart, the pictures have 2"):
        left_over(two, Cuda(), 0, COIN, "strength", (1.0,), 0, *NETWORKS)
