"""Orthogonal projection: the basis, what is left in its span, and what a linear model finds afterwards."""

import math

import pytest
import torch

from tests.small_disk import full_disk
from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.defenses.dvae import Dvae
from ued_core.defenses.orthogonal_projection import OrthogonalProjection, basis_of, linear_weights, mean_of, without
from ued_core.defenses.strong_augmentation import SdaAn
from ued_core.records import ImageSet, to_float


@pytest.fixture(autouse=True)
def fresh_home(tmp_path, monkeypatch):
    monkeypatch.setenv("UED_HOME", str(tmp_path))


def noisy_photos(count=400, side=16):
    """Smooth random pictures of low contrast, without and with the patterns of LSP."""
    coarse = torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    large = 0.5 + 0.2 * (torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic") - 0.5)
    clean = ImageSet((large * 255).to(torch.uint8), torch.arange(count) % 5, tuple("abcde"), "photos")
    return clean, ATTACKS.build("synper", patch=4).poison(clean, Context(seed=1)).as_training_set()


def linear_accuracy(data, weights):
    return float(((to_float(data.images).flatten(1) @ weights.T).argmax(1) == data.labels).float().mean())


def first_weights(classes, values):
    draws = Context(seed=0).generator("orthogonal projection", device="cpu")
    return torch.empty((classes, values)).uniform_(-(values**-0.5), values**-0.5, generator=draws)


def test_one_step_by_hand():
    """Two images of two pixels: W − 0.1/2 · Σ (softmax(Wx) − y) xᵀ, number by number."""
    data = ImageSet(
        torch.tensor([[255, 51], [0, 102]], dtype=torch.uint8).view(2, 1, 1, 2), torch.tensor([0, 1]), ("a", "b"), "two"
    )
    (a, b), (c, d) = first_weights(2, 2).tolist()
    assert max(abs(a), abs(b), abs(c), abs(d)) <= 0.5**0.5
    # Shares of class 0 for x = (1, 0.2) and x = (0, 0.4); those of class 1 are the rest.
    first, second = 1 / (1 + math.exp(c + 0.2 * d - a - 0.2 * b)), 1 / (1 + math.exp(0.4 * d - 0.4 * b))
    right, below = first - 1, 0.2 * (first - 1) + 0.4 * second
    expected = [[a - 0.05 * right, b - 0.05 * below], [c + 0.05 * right, d + 0.05 * below]]
    assert linear_weights(data, 1, Context()).tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


def test_rate_falls_after_a_half_and_three_quarters():
    """Eight steps: four at 0.1, two at 0.01, two at 0.001; written out in double precision."""
    clean, _ = noisy_photos(count=60, side=8)
    images, targets = to_float(clean.images).flatten(1).double(), torch.nn.functional.one_hot(clean.labels, 5).double()
    weights = first_weights(5, 192).double()
    for count, rate in enumerate([0.1] * 4 + [0.01] * 2 + [0.001] * 2, 1):
        step = rate / 60 * (torch.softmax(images @ weights.T, 1) - targets).T @ images
        weights -= step
        if count > 6:
            assert float(step.abs().max()) > 1e-5, "too small to be missed"
    assert torch.allclose(linear_weights(clean, 8, Context()).double(), weights, atol=2e-6)


def test_basis_by_hand():
    basis = basis_of(torch.tensor([[3.0, 0.0, 0.0, 0.0], [5.0, 5.0, 0.0, 0.0]]))
    assert torch.allclose(basis.T @ basis, torch.eye(2), atol=1e-6)
    image = torch.tensor([0.1, 0.2, 0.3, 0.4]).view(1, 1, 2, 2)
    assert torch.allclose(
        without(image, basis, torch.zeros(4)), torch.tensor([0.0, 0.0, 0.3, 0.4]).view(1, 1, 2, 2), atol=1e-6
    )
    mean = torch.tensor([0.5, 0.6, 0.7, 0.8])
    assert torch.allclose(without(image, basis, mean), torch.tensor([0.5, 0.6, 0.3, 0.4]).view(1, 1, 2, 2), atol=1e-6)


def test_projection_takes_the_span_and_nothing_else():
    _, poisoned = noisy_photos(count=900)
    weights = linear_weights(poisoned, 40, Context())
    basis = basis_of(weights)
    assert basis.shape == (768, 5)
    assert torch.allclose(basis.T @ basis, torch.eye(5), atol=1e-5)
    before, nothing = to_float(poisoned.images), torch.zeros(768)
    after = without(before, basis, nothing)
    assert float((after.flatten(1) @ weights.T).abs().max()) < 1e-3 < float((before.flatten(1) @ weights.T).abs().max())
    assert torch.allclose(without(after, basis, nothing), after, atol=1e-5)
    mean = mean_of(poisoned)
    assert torch.allclose(mean, before.flatten(1).mean(0), atol=1e-6)
    alike = without(before, basis, mean)
    assert float(((alike.flatten(1) - mean) @ weights.T).abs().max()) < 1e-3
    assert torch.allclose(alike.mean(0), before.mean(0), atol=1e-5)
    ranks = [int(torch.linalg.matrix_rank(x.flatten(1).double(), rtol=1e-5)) for x in (before, after)]
    assert ranks[0] - 5 <= ranks[1] < ranks[0]
    change = (before - after).flatten(1)
    assert torch.allclose(change @ basis @ basis.T, change, atol=1e-5)


def test_a_linear_model_finds_less_afterwards():
    clean, poisoned = noisy_photos()
    defense = OrthogonalProjection(steps=300)
    treated = defense.purify(poisoned, Context())
    before, after, base = (linear_accuracy(d, linear_weights(d, 300, Context())) for d in (poisoned, treated, clean))
    assert before > 0.9
    assert after < base + 0.15 < before - 0.2


def test_rounds_bring_clipped_values_back_into_line():
    _, poisoned = noisy_photos()
    dark = poisoned.with_images((poisoned.images.int() - 110).clamp(0, 255).to(torch.uint8))
    basis, mean = basis_of(linear_weights(dark, 60, Context())), mean_of(dark)
    left = []
    for rounds in (1, 10):
        made = OrthogonalProjection(rounds=rounds).treat(dark.images, dark.labels, {"basis": basis, "mean": mean})
        assert made.dtype == torch.uint8
        left.append(float(((to_float(made).flatten(1) - mean) @ basis).norm()))
    # The brightness stays.
    assert abs(float(made.float().mean() - dark.images.float().mean())) < 2
    assert left[1] < 0.5 * left[0]


def test_learned_once_and_named_by_its_content(monkeypatch):
    _, poisoned = noisy_photos(count=100)
    defense = OrthogonalProjection(steps=20)
    assert not defense.is_learned(poisoned)
    first = defense.purify(poisoned, Context(seed=1))
    assert defense.is_learned(poisoned)
    assert not defense.is_learned(poisoned.take(torch.arange(99)))
    assert not defense.with_values(steps=21).is_learned(poisoned)
    with monkeypatch.context() as patch:
        patch.setattr(OrthogonalProjection, "learn", lambda *_: pytest.fail("it was learned before"))
        assert torch.equal(defense.purify(poisoned, Context(seed=2)).images, first.images)
        defense.with_values(rounds=3).purify(poisoned, Context())
        rows = torch.tensor([5, 2])
        assert torch.equal(
            DefenseStack([defense]).preview(poisoned.take(rows), Context(), whole=poisoned).images, first.images[rows]
        )
    (defense.folder(poisoned) / "learned.safetensors").write_bytes(b"torn")
    assert torch.equal(defense.purify(poisoned, Context()).images, first.images)


@pytest.mark.parametrize("defense", [OrthogonalProjection(), SdaAn(), Dvae()], ids=lambda defense: defense.key)
def test_a_corrected_defence_takes_nothing_that_the_old_one_made(monkeypatch, defense):
    photos, _ = noisy_photos(20)
    given = photos.content_hash if isinstance(defense, Dvae) else photos
    before = defense.folder(given)
    assert defense.folder(given) == before
    monkeypatch.setattr(type(defense), "revision", lambda self: 1)
    assert defense.folder(given) != before


def test_what_is_learned_does_not_depend_on_the_disk(monkeypatch, tmp_path):
    _, poisoned = noisy_photos(count=60)
    (tmp_path / "file").write_text("")
    first = OrthogonalProjection(steps=5).purify(poisoned, Context())
    monkeypatch.setenv("UED_HOME", str(tmp_path / "file"))
    assert torch.equal(OrthogonalProjection(steps=5).purify(poisoned, Context()).images, first.images)


def test_earlier_defences_come_first_in_a_part_too():
    from ued_core.defenses.squeezing import Jpeg

    _, poisoned = noisy_photos(count=80)
    stack = DefenseStack([Jpeg(quality=30), OrthogonalProjection(steps=5)])
    rows = torch.tensor([3, 70])
    whole = stack.preview(poisoned, Context())
    assert torch.equal(stack.preview(poisoned.take(rows), Context(), whole=poisoned).images, whole.images[rows])


def test_full_disk():
    """What was learned cannot be kept, and is used all the same."""
    data, defense = noisy_photos(count=60, side=8)[0], OrthogonalProjection(steps=3)
    with full_disk():
        first = defense.purify(data, Context()).images
    assert not defense.is_learned(data)
    assert torch.equal(defense.purify(data, Context()).images, first)


@pytest.mark.parametrize(
    "defense", [OrthogonalProjection(steps=20), SdaAn(epochs=2, width=64, steps=3)], ids=lambda d: d.key
)
def test_threads_do_not_change_what_is_learned(defense):
    """A page and a worker find each other's file, and may have other numbers of threads."""
    data, before, found = noisy_photos(count=1200, side=32)[1], torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(defense.learn(data, Context()))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())
