"""The networks of D-VAE that ship: where they belong, what they were trained on, and that they come back as written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.models.dvae import build_dvae
from ued_core.records import ImageSet
from ued_core.results import shipped_separations
from ued_core.results.measured import study_tables
from ued_core.results.row import stored_rows
from ued_core.results.shipped_separations import all_shipped, shipped_for, write_shipped


def test_written_networks_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_separations, "FOLDER", tmp_path)
    draw = torch.Generator().manual_seed(0)
    published = ImageSet(torch.zeros(6, 3, 8, 8, dtype=torch.uint8), torch.arange(6) % 2, ("a", "b"), "black")
    networks = {target: build_dvae((3, 8, 8), 2, 4, draw).eval() for target in (3.0, 0.5)}
    recipe = {"width": 4, "perturbation": "image_and_class", "places": "spatial"}
    made = [(target, network.state_dict(), {"rate": target, "psnr": 20.0}) for target, network in networks.items()]
    write_shipped({"name": "shapes"}, {"name": "cuda"}, 3, published, recipe, made, tmp_path)
    assert shipped_for({"name": "shapes"}, {"name": "cuda"}, 4) is None
    assert shipped_for({"name": "shapes", "texture": 0.1}, {"name": "cuda"}, 3) is None
    found = shipped_for({"name": "shapes"}, {"name": "cuda"}, 3)
    assert found.targets == (0.5, 3.0)
    assert found.after is None
    assert found.card["data_hash"] == published.content_hash
    images = torch.rand((4, 3, 8, 8), generator=draw)
    labels = torch.tensor([0, 1, 1, 0])
    with torch.no_grad():
        for target, network in networks.items():
            back = found.network(target)(images, labels)
            expected = network(images, labels)
            # Half precision.
            assert torch.allclose(back.image, expected.image, atol=5e-3)
            assert torch.allclose(back.perturbation, expected.perturbation, atol=2e-2)
            assert not torch.equal(back.image, found.network(3.5 - target)(images, labels).image)


def test_stage_2_comes_back_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped_separations, "FOLDER", tmp_path)
    draw = torch.Generator().manual_seed(0)
    published = ImageSet(torch.zeros(6, 3, 8, 8, dtype=torch.uint8), torch.arange(6) % 2, ("a", "b"), "black")
    first, second = (build_dvae((3, 8, 8), 2, 4, draw).eval() for _ in range(2))
    recipe = {"width": 4, "perturbation": "image_and_class", "places": "spatial"}
    numbers = {"after": 1.0, "target": 3.0, "rate": 2.9, "psnr": 21.0, "steps": 8}
    made = [(1.0, first.state_dict(), {"rate": 1.0})]
    write_shipped(
        {"name": "shapes"}, {"name": "cuda"}, 3, published, recipe, made, tmp_path, (second.state_dict(), numbers)
    )
    found = shipped_for({"name": "shapes"}, {"name": "cuda"}, 3)
    assert (found.targets, found.after) == ((1.0,), 1.0)
    assert found.card["second"] == numbers
    images, labels = torch.rand((4, 3, 8, 8), generator=draw), torch.tensor([0, 1, 1, 0])
    with torch.no_grad():
        back, expected = found.second_network()(images, labels), second(images, labels)
        # Half precision.
        assert torch.allclose(back.image, expected.image, atol=5e-3)
        assert not torch.equal(back.image, found.network(1.0)(images, labels).image)


def drawn_otherwise() -> bool:
    """Whether this processor draws other shapes than the one that the stored runs come from."""
    known = next(row for row in stored_rows(study_tables()["phenomenon"]) if row.spec["dataset"]["name"] == "shapes")
    here = DATASETS.parse(known.spec["dataset"]).load(Context()).train.content_hash
    return known.data is not None and here != known.data.clean_hash


@pytest.mark.slow
def test_every_shipped_network_can_be_shown() -> None:
    """Each belongs to a choice that the program can make, and was trained on exactly its images."""
    assert all_shipped(), "nothing ships"
    for shipped in all_shipped():
        card = shipped.card
        dataset, attack = DATASETS.parse(card["dataset"]), ATTACKS.parse(card["attack"])
        assert shipped_for(dataset.to_json(), attack.to_json(), card["seed"]).path == shipped.path
        train = dataset.load(Context()).train
        share = card["images"] // train.classes
        rows = torch.cat([(train.labels == k).nonzero()[:share, 0] for k in range(train.classes)]).sort().values
        given = attack.poison(train, Context(seed=card["seed"])).as_training_set().take(rows)
        # Shapes are drawn with functions whose last digit is the processor's, so that on another one hashes differ.
        assert given.content_hash == card["data_hash"] or (dataset.key == "shapes" and drawn_otherwise())
        for target in shipped.targets:
            network = shipped.network(target)
            assert network.shape == train.shape
            assert not network.training
        rates = {row["target"]: row["rate"] for row in card["targets"]}
        assert list(shipped.targets) == sorted(rates)
        assert all(0 < rate < 1.25 * target for target, rate in rates.items())
        assert sorted(rates.values()) == [rates[target] for target in shipped.targets], "a tighter target keeps less"
        assert Path(shipped.path).stat().st_size < 1_000_000
        if shipped.after is not None:
            assert shipped.after in shipped.targets
            assert 0 < card["second"]["rate"] < 1.25 * card["second"]["target"]
            assert not shipped.second_network().training
