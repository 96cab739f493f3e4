"""NTGA: bound, independence of the blocks, true steps, and a kernel regression that is misled."""

import pytest
import torch

from tests.attacks.toy_set import toy_set
from ued_core.artefacts import Draft
from ued_core.attacks import ATTACKS, Ntga
from ued_core.attacks.gradient import LEVEL, to_float
from ued_core.attacks.ntga import KernelNetwork, points
from ued_core.context import Context
from ued_core.errors import Cancelled
from ued_core.records import ImageSet

SMALL = Ntga(hidden_layers=2, block=40, validation=40, steps=4, step_size=0.5)
CPU = torch.device("cpu")


def test_bound_after_storage():
    data = toy_set(60)
    data.images[:10], data.images[10:20] = 0, 255
    for epsilon in (8, 3):
        delta = SMALL.with_values(epsilon=epsilon).poison(data, Context()).delta
        assert int(delta.abs().max()) == epsilon
        assert delta.min() < 0 < delta.max()


def test_kernel_regression_is_misled():
    """On clean images that no step asked about; the stored images, rounding included."""
    made = Ntga(hidden_layers=2, block=80, validation=80, epsilon=24, steps=8).craft(toy_set(320), Context(), Draft())
    clean, poisoned = (sum(row[k] for row in made.log["trace"]) / 4 for k in ("clean_accuracy", "poisoned_accuracy"))
    assert clean > 0.7
    assert poisoned < clean - 0.3
    assert made.log["converged"]
    assert "FC-NTK" in made.log["note"]
    assert f"{100 * clean:.1f} %" in made.log["note"]
    assert f"{100 * poisoned:.1f} %" in made.log["note"]


def test_later_steps_get_further():
    """The release evaluates every step at the clean block, which makes ten of them one."""
    data = toy_set(160)
    order, network = torch.randperm(160, generator=torch.Generator().manual_seed(0)), KernelNetwork(2, 1e-4, 4)
    block, asked = order[:80], order[80:]

    def loss(attack: Ntga) -> float:
        images = clean = points(data, block, CPU)
        for _ in range(attack.steps):
            slope = network.slope(images, data.labels[block], points(data, asked, CPU), data.labels[asked])
            images = (images + attack.step_size * 24 * LEVEL * slope.sign()).clamp(0, 1)
            images = torch.minimum(torch.maximum(images, clean - 24 * LEVEL), clean + 24 * LEVEL)
        answers = network.answers(images, data.labels[block], points(data, asked, CPU))
        return float(torch.nn.functional.cross_entropy(answers, data.labels[asked]))

    far, near, start = (
        loss(SMALL.with_values(steps=n, step_size=size)) for n, size in ((10, 0.2), (1, 1.0), (1, 0.01))
    )
    assert far > near > start


def test_answers_of_what_was_learned_are_its_labels():
    data = toy_set(40)
    images = points(data, torch.arange(40), CPU)
    answers = KernelNetwork(2, 1e-6, 4).answers(images, data.labels, images)
    assert torch.allclose(answers, torch.nn.functional.one_hot(data.labels, 4).double(), atol=1e-2)
    stopped = KernelNetwork(2, 100.0, 4).answers(images, data.labels, images)
    assert float(stopped.abs().max()) < 0.5, "a large ridge learns little"


def test_a_block_sees_the_others_only_as_validation_images(monkeypatch):
    """Rows of a block never ask about themselves, and those that judge were not asked."""
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    for start in (0, 40, 80):
        part = slice(start, min(start + 40, 100))
        asked, judging = SMALL.with_values(validation=20)._outside(order, part, Context())
        block = set(order[part].tolist())
        assert len(asked) == len(judging) == 20
        assert not block & set(asked.tolist())
        assert not block & set(judging.tolist())
        assert not set(asked.tolist()) & set(judging.tolist())
    data, whole = toy_set(120), SMALL.poison(toy_set(120), Context(seed=1)).images
    # What is stored for one block does not enter the next one: they are all computed from clean images.
    monkeypatch.setattr(KernelNetwork, "accuracy", lambda *args: 0.0)
    parts, inner = [], Ntga._one_block

    def spoiled(self, data, order, part, *args):
        images, row = inner(self, data, order, part, *args)
        parts.append((order[part], images))
        return images * 0, row

    monkeypatch.setattr(Ntga, "_one_block", spoiled)
    SMALL.craft(data, Context(seed=1), Draft())
    assert len(parts) == 3
    assert all(torch.equal(whole[rows], images) for rows, images in parts)


def test_labels_matter():
    data = toy_set(80)
    other = ImageSet(data.images, (data.labels + 1) % 2, data.class_names, data.name)
    assert not torch.equal(SMALL.poison(data, Context()).images, SMALL.poison(other, Context()).images)


def test_progress_ends_at_what_was_announced():
    seen = []
    SMALL.craft(toy_set(120), Context(on_report=lambda done, total, text: seen.append((done, total))), Draft())
    assert {total for _, total in seen} == {SMALL.gradient_evaluations(120)} == {6 * (120 + 3 * 40)}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_goes_on_from_a_draft(tmp_path):
    data = toy_set(120)
    whole = SMALL.craft(data, Context(), Draft())

    def stop(done, total, text):
        if text.startswith("block 3"):
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        SMALL.craft(data, Context(on_report=stop), Draft(tmp_path / "draft", every_s=0))
    assert len(Draft(tmp_path / "draft").load()["trace"]) >= 1
    seen = []
    again = SMALL.craft(data, Context(on_report=lambda done, total, text: seen.append(text)), Draft(tmp_path / "draft"))
    assert torch.equal(again.images, whole.images)
    assert again.log == whole.log
    assert not any(text.startswith("block 1 ") for text in seen)


def test_estimate_of_the_time_grows_with_the_steps():
    data = toy_set(80)
    assert 0 < SMALL.seconds_for(data) < SMALL.with_values(steps=100).seconds_for(data)
    assert ATTACKS["ntga"] is Ntga


def test_images_are_rounded_and_judged_as_they_are_stored():
    data = toy_set(80)
    made = SMALL.craft(data, Context(), Draft())
    order = torch.randperm(80, generator=Context().generator("blocks"))
    _, judging = SMALL._outside(order, slice(0, 40), Context())
    network = KernelNetwork(2, 1e-4, 4)
    rows = order[:40]
    judged = network.accuracy(
        to_float(made.images[rows]).double(), data.labels[rows], points(data, judging, CPU), data.labels[judging]
    )
    assert judged == made.log["trace"][0]["poisoned_accuracy"]


def test_a_device_without_float64_leaves_the_kernels_to_the_processor(monkeypatch):
    """Nothing can be computed on "meta", so whatever were left there would fail."""
    data = toy_set(60)
    monkeypatch.setattr("ued_core.context.WITHOUT_FLOAT64", ("meta",))
    there = SMALL.craft(data, Context(device=torch.device("meta")), Draft())
    here = SMALL.craft(data, Context(), Draft())
    assert torch.equal(there.images, here.images)
