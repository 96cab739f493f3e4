"""The convolution attack against the official release's outputs and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ued_core.attacks import ATTACKS, Convolution, Cuda, Huda, Vuda
from ued_core.attacks.convolution import draw_kernels, filter_images
from ued_core.context import Context
from ued_core.errors import Cancelled, DataError, ParameterError
from ued_core.records import ImageSet

GOLDEN = Path(__file__).parents[1] / "golden"


def image_set(count=24, classes=4, size=12, seed=0):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, size, size), generator=draw, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefghij"[:classes]), "random")


@pytest.mark.parametrize("name", ["cuda_seed0", "cuda_seed7_blur05"])
def test_official_kernels_and_images(name):
    golden = np.load(GOLDEN / f"{name}.npz")
    blur, seed = float(golden["blur_parameter"]), int(golden["seed"])
    assert np.array_equal(draw_kernels(10, 3, blur, "full", seed), golden["kernels"])
    images = torch.from_numpy(golden["images"]).permute(0, 3, 1, 2).contiguous()
    data = ImageSet(images, torch.from_numpy(golden["labels"]), tuple("0123456789"), "golden")
    poisoned = Cuda(blur=blur).poison(data, Context(seed=seed)).images.permute(0, 2, 3, 1).numpy()
    difference = np.abs(poisoned.astype(int) - golden["poisoned"].astype(int))
    assert difference.max() <= 1
    assert (difference != 0).mean() <= 0.001


def test_filter_by_hand():
    image = torch.tensor([[0.0, 0.4], [0.2, 0.8]]).view(1, 1, 2, 2)
    kernel = torch.zeros(1, 3, 3)
    kernel[0, 1, 1], kernel[0, 1, 2] = 1.0, 0.5  # the pixel itself and half of its right neighbour
    expected = torch.tensor([[0.2, 0.4], [0.6, 0.8]]) / 0.8
    assert torch.allclose(filter_images(image, kernel)[0, 0], expected)
    reflected = torch.tensor([[0.2, 0.4], [0.6, 0.9]]) / 0.9
    assert torch.allclose(filter_images(image, kernel, "reflect")[0, 0], reflected)


def test_filter_equals_torch_convolution():
    images = torch.rand(5, 3, 9, 7)
    kernels = torch.from_numpy(draw_kernels(5, 5, 0.3, "full", 3))
    for image, kernel, result in zip(images, kernels, filter_images(images, kernels), strict=True):
        plain = torch.nn.functional.conv2d(image[:, None], kernel[None, None], padding=2)[:, 0]
        assert torch.allclose(result, (plain / plain.max()).clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize(
    "attack", [Cuda(), Cuda(kernel_size=7, padding="reflect"), Vuda(), Huda(blur=1.0, assignment="common")]
)
def test_compiled_loop_equals_tensor_operations(attack):
    data = image_set(count=90, size=17)
    data.images[4] = 0
    rows = torch.randperm(90, generator=torch.Generator().manual_seed(1))[:70]
    kernels = torch.from_numpy(attack.kernels(4, 3))
    both = [torch.full((70, 3, 17, 17), 7, dtype=torch.uint8) for _ in range(2)]
    attack._fill_compiled(data.images, rows, data.labels[rows], kernels, both[0])
    attack._fill_tensors(data.images, rows, data.labels[rows], kernels, both[1])
    difference = (both[0].int() - both[1].int()).abs()
    # Fused or not, the sums differ in the last bit; truncation makes 1 of that for few values.
    assert difference.max() <= 1
    assert (difference > 0).float().mean() < 1e-3
    assert both[0][rows == 4].sum() == 0


def test_black_image_stays_black():
    assert filter_images(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 3)).abs().max() == 0


@pytest.mark.parametrize(("support", "rows", "columns"), [("full", 3, 3), ("column", 3, 1), ("row", 1, 3)])
def test_kernel_support(support, rows, columns):
    for kernel in draw_kernels(6, 3, 0.3, support, 11):
        assert (kernel.any(1).sum(), kernel.any(0).sum()) == (rows, columns)
        assert (kernel == 1).sum() == 1
        others = kernel[(kernel != 0) & (kernel != 1)]
        assert others.max() <= 0.3


def test_supports_of_the_catalogue():
    supports = {name: cls().support for name, cls in ATTACKS.items() if issubclass(cls, Convolution)}
    assert supports == {"cuda": "full", "vuda": "column", "huda": "row"}


def test_same_class_same_kernel_and_common_control():
    kernels = Cuda().kernels(4, 5)
    assert len({k.tobytes() for k in kernels}) == 4
    common = Cuda(assignment="common").kernels(4, 5)
    assert len({k.tobytes() for k in common}) == 1
    assert np.array_equal(common[3], kernels[0])


def test_as_class_reproduces_the_poison():
    data = image_set()
    attack = Cuda()
    poisoned = attack.poison(data, Context(seed=9)).images
    assert torch.equal(attack.as_class(data.images, data.labels, data.classes, 9), poisoned)
    other = attack.as_class(data.images, (data.labels + 1) % data.classes, data.classes, 9)
    assert not torch.equal(other, poisoned)


def test_poison_rate():
    data = image_set(count=400)
    poisoned = Cuda().poison(data, Context(seed=1), poison_rate=0.3)
    assert 80 <= int(poisoned.touched.sum()) <= 160
    full = Cuda().poison(data, Context(seed=1)).images
    assert torch.equal(poisoned.images[poisoned.touched], full[poisoned.touched])
    assert int(Cuda().poison(data, Context(seed=1), poison_rate=0.0).touched.sum()) == 0
    with pytest.raises(ParameterError, match="from 0 to 1"):
        Cuda().poison(data, Context(), poison_rate=1.5)


def test_bad_input():
    with pytest.raises(ParameterError, match="must be odd"):
        Cuda(kernel_size=4)
    with pytest.raises(ParameterError, match="private key"):
        Cuda().kernels(3, -1)
    with pytest.raises(DataError, match="cannot reflect"):
        Cuda(kernel_size=9, padding="reflect").poison(image_set(size=4), Context())


def test_cancel():
    with pytest.raises(Cancelled):
        Cuda().poison(image_set(), Context(stop=lambda: True))


def test_kernels_against_coin_are_farther_apart_after_its_mean_blur_than_drawn_ones():
    drawn, chosen = (Cuda(selection=name, kernel_size=5).kernels(10, 3) for name in ("drawn", "against COIN"))
    assert np.array_equal(drawn[0], chosen[0])

    def nearest(kernels):
        # At whole displacements of −2…2 px with the weights of their interpolation.
        law = np.array([0.125, 0.25, 0.25, 0.25, 0.125])
        moved = np.array(
            [
                np.apply_along_axis(np.convolve, 0, np.apply_along_axis(np.convolve, 1, k, law), law).ravel()
                for k in kernels
            ]
        )
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        gaps = np.linalg.norm(moved[:, None] - moved[None], axis=2)
        return gaps[~np.eye(len(kernels), dtype=bool)].min()

    assert nearest(chosen) > 1.5 * nearest(drawn)


def test_the_choice_of_kernels_is_named_only_when_it_is_not_the_default():
    assert "selection" not in Cuda().to_json()
    assert Cuda(selection="against COIN").to_json()["selection"] == "against COIN"
