"""Crafted sets on the disk: read instead of crafted again, whole or not at all, found by their images."""

import json
import multiprocessing
import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.attacks.toy_set import toy_set
from ued_core.artefacts import CRAFTED
from ued_core.attacks import ATTACKS, Cuda, ErrorMinimising
from ued_core.attacks import checkpoint as module
from ued_core.attacks.checkpoint import craft_once, crafted_card, crafted_rows, poison_once
from ued_core.context import Context
from ued_core.errors import Cancelled, Unavailable
from ued_core.files import sha256_of
from ued_core.records import ImageSet

WHOLE_SET = [name for name, entry in ATTACKS.items() if entry.needs_whole_set]
ATTACK = ErrorMinimising(**ErrorMinimising.quick_values())


def forbidden(*args):
    raise AssertionError("it was crafted again")


def test_crafted_once_and_then_read(monkeypatch):
    data = toy_set()
    first = poison_once(ATTACK, data, Context(seed=2))
    plain = ATTACK.poison(data, Context(seed=2))
    assert torch.equal(first.images, plain.images)
    card = crafted_card(ATTACK, 2, data.content_hash)
    assert card["attack"] == ATTACK.to_json()
    assert card["log"]["seconds"] > 0
    assert card["log"]["cpu_s"] > 0
    assert 0 < card["log"]["evaluations"] <= ATTACK.gradient_evaluations(len(data))
    assert crafted_card(ATTACK, 3, data.content_hash) is None
    monkeypatch.setattr(ErrorMinimising, "craft", forbidden)
    seen = []
    again = poison_once(ATTACK, data, Context(seed=2, on_report=lambda done, total, text: seen.append(text)))
    assert torch.equal(again.images, first.images)
    assert "crafted before" in seen[-1]
    for changed, seed in ((ATTACK.with_values(epsilon=9), 2), (ATTACK, 3)):
        with pytest.raises(AssertionError, match="crafted again"):
            poison_once(changed, data, Context(seed=seed))
    with pytest.raises(AssertionError, match="crafted again"):
        poison_once(ATTACK, toy_set(seed=5), Context(seed=2))


def test_one_crafted_set_serves_every_rate_and_class(monkeypatch):
    data = toy_set()
    whole = poison_once(ATTACK, data, Context(seed=2))
    monkeypatch.setattr(ErrorMinimising, "craft", forbidden)
    some = poison_once(ATTACK, data, Context(seed=2), 0.5, [0, 2])
    assert 0 < int(some.touched.sum()) < 80
    assert torch.equal(some.images[some.touched], whole.images[some.touched])
    assert torch.equal(some.images[~some.touched], data.images[~some.touched])
    monkeypatch.undo()
    assert torch.equal(ATTACK.poison(data, Context(seed=2), 0.5, [0, 2]).images, some.images)


def test_other_attacks_are_not_kept():
    data = toy_set(40)
    assert torch.equal(poison_once(Cuda(), data, Context(seed=2)).images, Cuda().poison(data, Context(seed=2)).images)
    assert not CRAFTED.root().exists()


@pytest.mark.parametrize("damage", ["images", "card", "no images", "cut"])
def test_damaged_sets_are_crafted_again(damage):
    data = toy_set(60)
    first = craft_once(ATTACK, data, Context(seed=2)).images.clone()
    (folder,) = [path.parent for path in CRAFTED.root().glob("*/*/card.json")]
    path = folder / "images.npy"
    if damage == "card":
        (folder / "card.json").write_text("{")
    elif damage == "no images":
        path.unlink()
    else:
        content = bytearray(path.read_bytes())
        content[-1] ^= 255
        path.write_bytes(content if damage == "images" else content[:-100])
    again = craft_once(ATTACK, data, Context(seed=2))
    assert torch.equal(again.images, first)
    assert torch.equal(module.read_crafted(folder).images, first)
    assert json.loads((folder / "card.json").read_text())["data_hash"] == data.content_hash


def test_found_by_images_in_any_order():
    data = toy_set()
    made = craft_once(ATTACK, data, Context(seed=2))
    rows = torch.tensor([150, 3, 77, 3])
    assert torch.equal(crafted_rows(ATTACK, 2, data.take(rows)), made.images[rows])
    shown = ATTACK.preview(data.take(rows), 2)
    assert torch.equal(shown.images, made.images[rows])
    assert torch.equal(shown.clean.images, data.images[rows])


def test_images_of_another_set_are_not_found():
    data = toy_set()
    craft_once(ATTACK, data, Context(seed=2))
    few = data.take([1, 2])
    assert crafted_rows(ATTACK, 3, few) is None
    assert crafted_rows(ATTACK, 2, toy_set(seed=1).take([1, 2])) is None
    relabelled = ImageSet(few.images, (few.labels + 1) % 4, few.class_names, few.name)
    assert crafted_rows(ATTACK, 2, relabelled) is None
    with pytest.raises(Unavailable, match="Start a training run"):
        ATTACK.preview(relabelled, 2)


def test_home_that_cannot_be_written(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("UED_HOME", str(tmp_path / "file"))
    data = toy_set(40)
    assert torch.equal(poison_once(ATTACK, data, Context(seed=2)).images, ATTACK.poison(data, Context(seed=2)).images)


def test_stopped_work_goes_on_and_leaves_no_draft(monkeypatch):
    data, attack = toy_set(80), ATTACK.with_values(max_rounds=4, batches=1)
    expected = attack.poison(data, Context(seed=2)).images
    monkeypatch.setattr(module.Draft.__init__, "__defaults__", (None, 0.0))

    def stop(done, total, text):
        if text.startswith("round 3"):
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        poison_once(attack, data, Context(seed=2, on_report=stop))
    assert len(list(CRAFTED.root().glob("*/*.draft"))) == 1
    assert not list(CRAFTED.root().glob("*/*/card.json"))
    seen = []
    assert torch.equal(
        poison_once(attack, data, Context(seed=2, on_report=lambda d, t, text: seen.append(text))).images, expected
    )
    assert not any(text.startswith("round 1") for text in seen)
    assert not list(CRAFTED.root().glob("*/*.draft"))


def test_sets_of_older_versions_are_read(monkeypatch):
    """Their cards hold the one checksum of the images by itself."""
    data = toy_set(60)
    first = craft_once(ATTACK, data, Context(seed=2)).images.clone()
    (path,) = CRAFTED.root().glob("*/*/card.json")
    older = json.loads(path.read_text()) | {"sha256": sha256_of(first.numpy())}
    path.write_text(json.dumps(older))
    monkeypatch.setattr(ErrorMinimising, "craft", forbidden)
    assert torch.equal(craft_once(ATTACK, data, Context(seed=2)).images, first)
    assert crafted_card(ATTACK, 2, data.content_hash)["attack"] == ATTACK.to_json()
    assert torch.equal(crafted_rows(ATTACK, 2, data.take([5])), first[[5]])


def craft_beside_another(home, place, name):
    """In a process of its own: crafting goes on when the other process waits, or crafts the same too."""
    os.environ["UED_HOME"] = str(home)
    whole = ErrorMinimising.craft

    def craft(*args):
        (place / f"{name}.crafts").touch()
        ends = time.monotonic() + 100
        while time.monotonic() < ends and not (list(place.glob("*.waits")) or len(list(place.glob("*.crafts"))) > 1):
            time.sleep(0.05)
        return whole(*args)

    def told(done, total, text):
        if text == "EM: another run crafts this set; waiting for it":
            (place / f"{name}.waits").touch()
        if text.endswith("crafted meanwhile by another run"):
            (place / f"{name}.reads").touch()

    ErrorMinimising.craft = craft
    made = craft_once(ATTACK, toy_set(60), Context(seed=2, on_report=told))
    (place / f"{name}.hash").write_text(sha256_of(made.images.numpy()))


def test_two_processes_do_not_craft_the_same_set_twice(tmp_path):
    start = multiprocessing.get_context("spawn").Process
    both = [start(target=craft_beside_another, args=(tmp_path / "home", tmp_path, name)) for name in "ab"]
    for process in both:
        process.start()
    for process in both:
        process.join(200)
        assert process.exitcode == 0
    assert [len(list(tmp_path.glob(f"*.{what}"))) for what in ("crafts", "waits", "reads", "hash")] == [1, 1, 1, 2]
    assert len({path.read_text() for path in tmp_path.glob("*.hash")}) == 1


def test_old_sets_make_room(monkeypatch):
    data = toy_set(40)
    monkeypatch.setattr(module, "CRAFTED", replace(CRAFTED, most=int(2.5 * data.images.numel())))
    told = []
    for seed in range(3):
        craft_once(ATTACK, data, Context(seed=seed, on_note=told.append))
        time.sleep(0.02)
    assert len(told) == 1
    assert "Crafted sets may take" in told[0]
    assert "so 1 that were not used for longest were removed: em-" in told[0]
    assert [crafted_card(ATTACK, seed, data.content_hash) is not None for seed in range(3)] == [False, True, True]


@pytest.mark.parametrize("name", WHOLE_SET)
def test_same_bytes_wherever_it_is_crafted(name, monkeypatch, tmp_path):
    """Also when the surrogate has to be trained anew."""
    data, attack = toy_set(60), ATTACKS.build(name, **ATTACKS[name].quick_values())
    first = attack.poison(data, Context(seed=2)).images
    monkeypatch.setenv("UED_HOME", str(tmp_path / "other"))
    assert torch.equal(attack.poison(data, Context(seed=2)).images, first)


# DeepConfuse takes a second-order step per batch: minutes for a set whose copies would be seen beside the slack.
@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in WHOLE_SET if name != "deep_confuse"])
def test_memory_is_bounded_by_the_batch(name, tmp_path):
    """24,000 small images are 41 MB: beside the result only work on a batch may be held."""
    psutil = pytest.importorskip("psutil")
    count, shape = 24_000, (3, 24, 24)
    file = np.lib.format.open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=(count, *shape))
    file[:] = np.random.default_rng(0).integers(0, 255, (1, *shape), dtype=np.uint8)
    data = ImageSet(torch.from_numpy(file), torch.arange(count) % 10, tuple("0123456789"), "large")
    attack = ATTACKS.build(name, **ATTACKS[name].quick_values())
    attack.poison(data.take(range(500)), Context())
    data.images.sum()
    process, sizes, over = psutil.Process(), [], threading.Event()
    before = process.memory_info().rss

    def watch():
        while not over.wait(0.005):
            sizes.append(process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    attack.poison(data, Context())
    over.set()
    thread.join()
    assert (max(sizes) - before) >> 20 < 2 * (count * 3 * 24 * 24 >> 20) + 150
