"""The tests of a suspicious set: what each must see, and what it must not."""

import pytest
import torch

from tests.attacks.toy_set import toy_set
from ued_core.analysis import detection
from ued_core.analysis.detection import TESTS, examine, simple_network
from ued_core.context import Context
from ued_core.errors import Cancelled, DataError
from ued_core.records import ImageSet


def noise(count=300, classes=3, seed=0, side=16):
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(60, 196, (count, 3, side, side), generator=rng, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefgh"[:classes]), "noise")


def marked(data, table_seed=1):
    rng = torch.Generator().manual_seed(table_seed)
    table = torch.randint(-24, 25, (data.classes, *data.shape), generator=rng)
    return data.with_images((data.images.int() + table[data.labels]).clamp(0, 255).to(torch.uint8))


@pytest.fixture(scope="module")
def seen():
    clean = noise()
    return {"clean": examine(clean, Context()), "marked": examine(marked(clean), Context())}


def by_test(examination):
    return {e.test: e for e in examination.evidence}


def test_every_test_answers_in_order(seen):
    assert [e.test for e in seen["clean"].evidence] == list(TESTS)
    assert seen["clean"].images == 300


def test_noise_without_a_class_raises_no_alarm(seen):
    assert seen["clean"].alarms == 0
    for test in ("linear", "mlp"):
        assert by_test(seen["clean"])[test].value < 0.6


def test_one_pattern_a_class_is_seen_and_its_control_is_not(seen):
    found = by_test(seen["marked"])
    for test in ("linear", "mlp"):
        assert found[test].value > (0.9 if test == "linear" else 0.6)
        assert found[test].suspicious == (found[test].value > 0.7)
        assert found[test].control < 0.6
    assert not found["border"].suspicious


@pytest.fixture
def untrained(monkeypatch):
    """Nothing is trained: the jobs and the images that accuracy was asked for; every accuracy is ``value[0]``."""
    jobs, asked, value = [], [], [0.7]
    monkeypatch.setattr(detection, "train", lambda job, ctx: jobs.append(job))
    monkeypatch.setattr(detection, "accuracy", lambda network, data, ctx: asked.append(data) or value[0])
    return jobs, asked, value


def keys(data):
    return {image.numpy().tobytes() for image in data.images}


def test_a_fifth_of_each_class_is_held_out(untrained):
    """80/20: 100 images of each class, of which 80 are trained on and the other 20 asked about."""
    jobs, asked, _ = untrained
    data = noise()
    examine(data, Context())
    assert [len(job.train) for job in jobs] == [240] * 5
    assert [len(part) for part in asked] == [60] * 5
    # In the order linear, its control, network, its control, bias shift; the controls have shuffled labels.
    for index in (0, 2, 4):
        assert jobs[index].train.labels.bincount().tolist() == [80] * 3
        assert asked[index].labels.bincount().tolist() == [20] * 3
    for job, part in zip(jobs, asked, strict=True):
        assert not keys(job.train) & keys(part)
        assert keys(job.train) | keys(part) == keys(data)
    assert torch.equal(asked[1].images, asked[0].images)
    assert not torch.equal(asked[1].labels, asked[0].labels)


@pytest.mark.parametrize(("value", "suspicious"), [(0.7, False), (0.7001, True), (0.0, False), (1.0, True)])
def test_above_seven_tenths_is_suspicious(untrained, value, suspicious):
    untrained[2][0] = value
    found = examine(noise(60), Context()).evidence[:3]
    assert [e.bound for e in found] == [0.7] * 3
    assert [e.suspicious for e in found] == [suspicious] * 3
    assert [e.control for e in found] == [value, value, None]


def test_images_are_darkened_by_one_half_for_the_bias_shift_alone(untrained):
    """While training, without clipping; those that are held out stay as they are."""
    jobs, asked, _ = untrained
    data = noise(60)
    examine(data, Context())
    images = torch.tensor([0.0, 0.25, 0.5, 1.0]).view(1, 1, 2, 2)
    moved = [job.augment(images, torch.Generator()).flatten().tolist() for job in jobs]
    assert moved == [[0.0, 0.25, 0.5, 1.0]] * 4 + [[-0.5, -0.25, 0.0, 0.5]]
    assert keys(asked[4]) < keys(data)
    # As published: simple networks at 0.01 in batches of 128, momentum 0.9, decay 5e-4; the other one at the intended
    # 0.1.
    told = [(job.plan.learning_rate, job.plan.momentum, job.plan.weight_decay) for job in jobs]
    assert told == [(0.01, 0.9, 5e-4)] * 4 + [(0.1, 0.9, 5e-4)]
    assert [job.plan.batch_size for job in jobs[:4]] == [128] * 4


def test_dark_frames_are_seen():
    data = noise(60)
    framed = data.images.clone()
    framed[:, :, [0, -1]] //= 2
    framed[..., [0, -1]] //= 2
    assert by_test(examine(data.with_images(framed), Context()))["border"].suspicious


def test_reproducible_and_private(seen):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    again = examine(marked(noise()), Context())
    assert again == seen["marked"]
    assert torch.equal(before, torch.random.get_rng_state())


def test_only_so_many_images_as_many_of_each(monkeypatch):
    monkeypatch.setattr(detection, "MOST_IMAGES", 30)
    assert examine(noise(200), Context()).images == 30


def test_small_classes_are_refused():
    data = toy_set()
    with pytest.raises(DataError, match="a class with 2 images"):
        examine(
            data.take(torch.cat([(data.labels == 0).nonzero()[:2, 0], (data.labels == 1).nonzero()[:, 0]])), Context()
        )


def test_can_be_cancelled():
    with pytest.raises(Cancelled):
        examine(noise(60), Context(stop=lambda: True))


def test_a_linear_model_has_one_weight_a_value():
    rng = torch.Generator().manual_seed(0)
    network = simple_network((3, 4, 5), 7, 0, rng)
    assert sum(p.numel() for p in network.parameters()) == 60 * 7 + 7
    assert sum(p.numel() for p in simple_network((3, 4, 5), 7, 8, rng).parameters()) == 60 * 8 + 8 + 8 * 7 + 7
