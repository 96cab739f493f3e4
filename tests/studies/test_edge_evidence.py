"""The trained edge detector as a test of a set: its parts, its keys, its bound, and what it finds."""

from __future__ import annotations

import pytest
import torch

from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.errors import DataError
from ued_core.records import ImageSet
from ued_core.studies import edge_evidence as module
from ued_core.studies.edge_evidence import EdgeEvidence, OneDetector, convolutions, edge_evidence


@pytest.fixture(scope="module")
def clean() -> ImageSet:
    return load_split(DATASETS.build("shapes", train_size=600, test_size=50), Context()).train


def made(name: str, clean: ImageSet, seed: int = 0, **values: object) -> torch.Tensor:
    return ATTACKS.build(name, **values).poison(clean, Context(seed=seed)).images


def test_it_looks_for_those_that_work_by_class_kernels() -> None:
    assert [attack.key for attack in convolutions()] == ["cuda", "vuda", "huda"]


def test_what_it_finds_and_what_it_cannot(clean: ImageSet) -> None:
    """Zero padding is found with another key; reflection padding and additive noise are not; the clean images are not
    called poisoned."""
    versions = {
        "clean": clean.images,
        "huda": made("huda", clean, seed=7),
        "reflected": made("huda", clean, seed=7, padding="reflect"),
        "noise": made("class_noise", clean),
    }
    found = edge_evidence(clean, versions, 0)
    assert {name: found.evidence(name).suspicious for name in versions} == {
        "clean": False, "huda": True, "reflected": False, "noise": False
    }  # fmt: skip
    assert (found.trained, found.held_out) == (200, 200)
    assert [one.attack for one in found.detectors] == [attack.title for attack in convolutions()]
    by_attack = dict(zip(("cuda", "vuda", "huda"), found.detectors, strict=True))
    assert by_attack["huda"].tells
    assert by_attack["huda"].beyond("huda") > 0.5
    assert edge_evidence(clean, versions, 0) == found
    assert edge_evidence(clean, versions, 1) != found


def test_the_outcome_is_that_of_the_detector_that_sees_most() -> None:
    """Bounds half-way by hand; a detector that hardly knows its own attack has no say."""
    weak = OneDetector("weak", 0.5, 0.69, {"a": 1.0, "b": 0.0, "c": 0.0})
    first = OneDetector("first", 0.2, 0.6, {"a": 0.3, "b": 0.41, "c": 0.4})
    second = OneDetector("second", 0.1, 0.9, {"a": 0.4, "b": 0.2, "c": 0.1})
    found = EdgeEvidence((weak, first, second), 10, 10)
    assert first.bound == pytest.approx(0.4)
    assert [one.tells for one in found.detectors] == [False, True, True]
    assert second.beyond("a") == pytest.approx(0.375)
    assert [found.evidence(name).suspicious for name in "abc"] == [False, True, False]
    assert [found.evidence(name).value for name in "abc"] == [0.4, 0.41, 0.4]
    assert found.evidence("a").bound == pytest.approx(0.5)
    assert found.evidence("b").chance == 0.2
    assert EdgeEvidence((weak,), 10, 10).evidence("a").suspicious is None


def test_nothing_is_judged_that_was_learned_from(clean: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three parts of the images, and another key for every attack and part."""
    asked: list[tuple[str, int, ImageSet]] = []
    judged: list[torch.Tensor] = []

    class Model:
        def score(self, images: torch.Tensor) -> torch.Tensor:
            judged.append(images)
            return torch.ones(len(images)).numpy()

    class Watched:
        def __init__(self, key: str) -> None:
            self.key, self.title = key, key

        def poison(self, data: ImageSet, ctx: Context) -> object:
            asked.append((self.key, ctx.seed, data))
            return type("Poisoned", (), {"images": data.images})

    monkeypatch.setattr(module, "convolutions", lambda: [Watched("one"), Watched("two")])
    learned: list[torch.Tensor] = []
    monkeypatch.setattr(
        module, "train_edge_detector", lambda positives, negatives: learned.append(negatives) or Model()
    )
    edge_evidence(clean, {"all": clean.images}, 0)
    assert len({seed for _, seed, _ in asked}) == len(asked) == 4

    def names(images: torch.Tensor) -> set[bytes]:
        return {image.numpy().tobytes() for image in images}

    # For each attack: its own attack on the second part, then what is in question, then the clean second part.
    own, judge, bound = (names(images) for images in judged[:3])
    learn = names(learned[0])
    assert own == bound
    assert not learn & judge
    assert not learn & bound
    assert not judge & bound
    assert learn | judge | bound == names(clean.images)
    assert len(learned) == 2


def test_refusals(clean: ImageSet) -> None:
    with pytest.raises(DataError, match="at least 30"):
        edge_evidence(clean.take(torch.arange(29)), {}, 0)
    with pytest.raises(DataError, match="The short images"):
        edge_evidence(clean, {"short": clean.images[:5]}, 0)
