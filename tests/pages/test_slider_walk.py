"""How much a person reads who follows COIN's slider to pictures and Θ: a bar that new hops must not break."""

from pathlib import Path

import pytest

from benchmarks.slider_walk import Call, Walk, one_move

MOST_CALLS, MOST_FILES = 209, 30
"""Calls: half of the 419 that a review counted. Files: what there is now; fewer would join modules that others use,
such as the displacement, which attackers who expect COIN need too."""


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Walk:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UED_HOME", str(tmp_path_factory.mktemp("home")))
        return one_move()


def test_a_move_of_the_slider_stays_readable(walk: Walk) -> None:
    assert len(walk.calls) <= MOST_CALLS, walk.summary()
    assert len(walk.files) <= MOST_FILES, sorted(walk.files)


def test_the_walk_ends_in_pictures_and_theta(walk: Walk) -> None:
    """A walk that leaves out what it should count would pass any bar."""
    called = {Path(file).name + ":" + function for file, function in walk.functions}
    assert {
        "page.py:follow_the_slider",
        "coin.py:Coin.augment",
        "displacement.py:_displace",
        "tiles.py:strip",
        "consistency.py:theta",
        "consistency.py:moved_to",
        "consistency.py:feature_view",
        "left.py:left_view",
        "strength.py:strength_control",
        "hill.py:hill",
        "delivery.py:pack",
    } <= called
    assert walk.calls[0] == Call("pages/defence/page.py", "follow_the_slider", 0)
    assert walk.depth > 5
