"""Surrogates: trained once, found again, shared, never half written."""

import json

import pytest
import torch

from tests.attacks.toy_set import toy_set
from tests.small_disk import full_disk
from ued_core.attacks import surrogate as module
from ued_core.attacks.adversarial_poison import AdversarialPoison
from ued_core.attacks.error_maximising import ErrorMaximising
from ued_core.attacks.hypocritical import Hypocritical
from ued_core.attacks.surrogate import Surrogate
from ued_core.context import Context
from ued_core.errors import Cancelled
from ued_core.files import sha256_of
from ued_core.models import ResNet18, SmallCnn
from ued_core.training import accuracy

MADE = Surrogate(SmallCnn(width=8), epochs=8, seed=3)


def same(a, b):
    return all(
        torch.equal(x.cpu(), y.cpu()) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


def no_training(*args):
    raise AssertionError("it was trained again")


def test_trained_once_and_then_read(monkeypatch):
    data = toy_set()
    first = MADE.network(data, Context(seed=1))
    card = MADE.card(data)
    assert card["held_out"] == 16
    assert card["held_out_accuracy"] > 0.9
    assert card["train_accuracy"] > 0.9
    assert card["data_hash"] == data.content_hash
    assert card["model"] == {"name": "small_cnn", "width": 8}
    assert not first.training
    assert not any(p.requires_grad for p in first.parameters())
    with monkeypatch.context() as patch:
        patch.setattr(module, "train", no_training)
        again = MADE.network(data, Context(seed=2))
    assert same(first, again)
    assert accuracy(again, toy_set(seed=9), Context()) > 0.9


def test_equal_wherever_it_is_trained(monkeypatch, tmp_path):
    data = toy_set()
    first = MADE.network(data, Context())
    monkeypatch.setenv("UED_HOME", str(tmp_path / "other"))
    assert same(first, MADE.network(data, Context(seed=8)))


@pytest.mark.parametrize("damage", ["weights", "card", "no weights"])
def test_damaged_files_are_replaced(damage):
    data = toy_set()
    first, folder = MADE.network(data, Context()), MADE.folder(data)
    if damage == "weights":
        path = folder / "network.safetensors"
        content = bytearray(path.read_bytes())
        content[-1] ^= 255
        path.write_bytes(content)
    elif damage == "card":
        (folder / "card.json").write_text("{")
    else:
        (folder / "network.safetensors").unlink()
    assert same(first, MADE.network(data, Context()))
    card = json.loads((folder / "card.json").read_text())
    assert card["sha256"] == {"network.safetensors": sha256_of(folder / "network.safetensors")}


def test_surrogates_of_older_versions_are_read(monkeypatch):
    """Their cards hold the one checksum by itself."""
    data = toy_set(60)
    short = Surrogate(SmallCnn(width=8), epochs=1, seed=3)
    first, card = short.network(data, Context()), short.folder(data) / "card.json"
    older = json.loads(card.read_text()) | {"sha256": sha256_of(card.with_name("network.safetensors"))}
    card.write_text(json.dumps(older))
    assert short.card(data)["held_out"] == 6
    with monkeypatch.context() as patch:
        patch.setattr(module, "train", no_training)
        assert same(first, short.network(data, Context()))


def test_key_names_everything():
    data = toy_set()
    others = [
        Surrogate(SmallCnn(width=12), 8, 3),
        Surrogate(ResNet18(width=8), 8, 3),
        Surrogate(SmallCnn(width=8), 9, 3),
        Surrogate(SmallCnn(width=8), 8, 4),
        Surrogate(SmallCnn(width=8), 8, 3, robust_radius=2),
    ]
    keys = [s.key(data) for s in [MADE, *others]] + [MADE.key(toy_set(seed=1)), MADE.key(data.take(range(100)))]
    assert len(set(keys)) == len(keys)
    assert MADE.key(toy_set()) == keys[0]


def test_cancelled_training_keeps_nothing():
    data, asked = toy_set(), []

    def stop():
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        MADE.network(data, Context(stop=stop))
    assert not MADE.folder(data).exists()


def test_home_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("UED_HOME", str(tmp_path / "file"))
    assert accuracy(MADE.network(toy_set(), Context()), toy_set(seed=9), Context()) > 0.9


def test_attacks_share_it():
    asked = {attack().as_surrogate(5) for attack in (AdversarialPoison, ErrorMaximising, Hypocritical)}
    assert len(asked) == 1
    assert Hypocritical(surrogate_radius=2).as_surrogate(5) not in asked


def test_robust_training_survives_small_shifts():
    """A robust surrogate keeps more of its accuracy at the radius it was trained for."""
    data, test = toy_set(), toy_set(seed=9)
    kept = {}
    for radius in (0, 8):
        network = Surrogate(SmallCnn(width=8), 8, 3, robust_radius=radius).network(data, Context())
        images = module.to_float(test.images)
        bent = module.descend(network, images, images, test.labels, epsilon=8 / 255, step=2 / 255, steps=8, uphill=True)
        with torch.no_grad():
            kept[radius] = float((network(bent).argmax(1) == test.labels).float().mean())
    assert kept[8] > kept[0] + 0.1


def test_images_smaller_than_the_network_needs():
    data = toy_set().take(range(60))
    tiny = data.with_images(data.images[:, :, 5:11, 5:10])
    assert Surrogate(SmallCnn(width=4), 1, 0).network(tiny, Context())(module.to_float(tiny.images)).shape == (60, 4)


def test_one_image():
    data = toy_set().take([0])
    assert Surrogate(SmallCnn(width=4), 1, 0).network(data, Context())(module.to_float(data.images)).shape == (1, 4)


def test_full_disk():
    """The network cannot be kept, and is used all the same."""
    short = Surrogate(SmallCnn(width=8), epochs=1, seed=3)
    with full_disk():
        first = short.network(toy_set(), Context())
    assert short.card(toy_set()) is None
    assert same(first, short.network(toy_set(), Context()))
