"""Batch hooks on a GPU that is not there: shapes and devices are followed, nothing is computed."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ued_core import context
from ued_core.defenses import DEFENSES, Defense
from ued_core.defenses.noise import UniformNoise
from ued_core.defenses.orthogonal_projection import basis_of
from ued_core.defenses.random_operations import OPERATIONS, cloud, shuffled_channels, uneven_brightness, uneven_contrast
from ued_core.defenses.sharpening import low_pass_matrix

GPU = torch.device("cuda", 0)
# UEraser sorts images by their operation, which needs numbers; its parts are followed one by one.
NAMES = [name for name in DEFENSES if "augment" in DEFENSES[name].acts and name != "ueraser"]


class Generator(torch.Generator):
    """Says that it is on the GPU; nothing is drawn."""

    @property
    def device(self) -> torch.device:
        return GPU


class WithoutDoubles(TorchDispatchMode):
    """A GPU that holds no float64, as Apple's."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.device == GPU and tensor.dtype == torch.float64:
                raise TypeError(f"{func} makes float64 where there is none")
        return made


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch):
    # Checks of values, such as that a displacement is finite, pass: there are none.
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda tensor: True)
    for name in ("__float__", "item"):
        monkeypatch.setattr(torch.Tensor, name, lambda tensor: 0.5)
    monkeypatch.setattr(torch.Tensor, "__int__", lambda tensor: 5)
    # What is kept between calls must neither come in here nor go out.
    low_pass_matrix.cache_clear()
    with FakeTensorMode():
        yield
    low_pass_matrix.cache_clear()


@pytest.fixture
def apple(there: None, monkeypatch: pytest.MonkeyPatch):
    """The same GPU, which has no float64. Torch follows indexing on "mps" only where it was built for it."""
    monkeypatch.setattr(context, "WITHOUT_FLOAT64", ("cuda",))
    with WithoutDoubles():
        yield


def devices(defense: Defense, channels: int) -> set[torch.device]:
    images, labels = torch.rand(6, channels, 32, 32, device=GPU), torch.zeros(6, dtype=torch.int64, device=GPU)
    return {tensor.device for tensor in defense.blend(images, labels, 4, Generator())}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_batch_stays_on_its_device(there: None, name: str, channels: int) -> None:
    assert devices(configured(name), channels) == {GPU}


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_on_apples_gpu_needs_no_float64_there(apple: None, name: str) -> None:
    assert devices(configured(name), 3) == {GPU}


def configured(name: str) -> Defense:
    values = {"random_perspective": {"strength": 0.1}, "staged": {"colours": "jitter and grey"}}
    return DEFENSES.build(name, **values.get(name, {}))


def test_random_operations_stay_on_their_device(there: None) -> None:
    images, magnitude = torch.rand(6, 3, 16, 16, device=GPU), torch.rand(6, device=GPU)
    made = [operation(images, magnitude) for operation in OPERATIONS]
    light = cloud((6, 16, 16), magnitude, Generator())[:, None]
    made += [
        shuffled_channels(images, Generator()),
        uneven_brightness(images, light, magnitude),
        uneven_contrast(images, light),
    ]
    assert {tensor.device for tensor in made} == {GPU}


def test_a_forgotten_device_would_be_seen(there: None) -> None:
    class Forgets(UniformNoise):
        def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
            return images + torch.zeros(images.shape)

    with pytest.raises(RuntimeError, match="at least two devices, cuda:0 and cpu"):
        devices(Forgets(), 3)


def test_the_projection_of_a_network_on_apples_gpu_is_made_without_float64_there(apple: None) -> None:
    basis = basis_of(torch.rand(4, 48, device=GPU))
    assert (basis.device, basis.dtype, basis.shape) == (GPU, torch.float32, (48, 4))


def test_float64_on_apples_gpu_would_be_seen(apple: None) -> None:
    class Doubles(UniformNoise):
        def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
            return images.double().float()

    with pytest.raises(TypeError, match="float64 where there is none"):
        devices(Doubles(), 3)
