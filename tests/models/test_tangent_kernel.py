"""The closed kernel against what finite networks of great width do, and by hand."""

import math

import pytest
import torch

from ued_core.models.tangent_kernel import BIAS_VARIANCE, WEIGHT_VARIANCE, tangent_kernel


def points(count: int = 6, size: int = 10, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def measured(x: torch.Tensor, hidden_layers: int, width: int, draws: int) -> torch.Tensor:
    """Inner products of the gradients of networks with standard normal parameters, scaled in the forward pass; a mean
    of draws."""
    rng = torch.Generator().manual_seed(1)
    total = torch.zeros(len(x), len(x), dtype=torch.float64)
    for _ in range(draws):
        sizes = [x.shape[1], *[width] * hidden_layers, 1]
        layers = [
            [
                torch.randn(*shape, generator=rng, dtype=torch.float64, requires_grad=True)
                for shape in ((outside, inside), (outside,))
            ]
            for inside, outside in zip(sizes, sizes[1:], strict=False)
        ]
        rows = []
        for image in x:
            signal = image
            for number, (weight, bias) in enumerate(layers):
                signal = signal if number == 0 else signal.relu()
                signal = math.sqrt(WEIGHT_VARIANCE / len(signal)) * (weight @ signal) + math.sqrt(BIAS_VARIANCE) * bias
            slopes = torch.autograd.grad(signal[0], [p for layer in layers for p in layer])
            rows.append(torch.cat([s.flatten() for s in slopes]))
        gradients = torch.stack(rows)
        total += gradients @ gradients.T / draws
    return total


@pytest.mark.parametrize("hidden_layers", [0, 1, 3])
def test_wide_networks_have_this_kernel(hidden_layers):
    x = points()
    expected = measured(x, hidden_layers, 400, 6)
    kernel = tangent_kernel(x, x, hidden_layers)
    assert float((kernel - expected).abs().max()) < (0.06 * float(kernel.max()) if hidden_layers else 1e-10)


def test_by_hand_at_a_right_angle():
    """Of two points with covariances (1, 0; 0, 1) a hidden layer makes 1.76/2π + b, and the ReLUs agree a quarter of
    the time."""
    reach = math.sqrt((1 - BIAS_VARIANCE) / WEIGHT_VARIANCE)
    across = math.acos(-BIAS_VARIANCE / reach**2 / WEIGHT_VARIANCE)
    x = math.sqrt(2) * reach * torch.tensor([[1.0, 0.0], [math.cos(across), math.sin(across)]], dtype=torch.float64)
    same = WEIGHT_VARIANCE / 2 + BIAS_VARIANCE
    expected = [[same + WEIGHT_VARIANCE / 2, WEIGHT_VARIANCE / (2 * math.pi) + BIAS_VARIANCE]]
    assert tangent_kernel(x[:1], x, 1).tolist() == [pytest.approx(expected[0], rel=1e-4)]


def test_symmetric_and_positive_semi_definite():
    x = points(60, 30)
    x[1] = x[0]
    for hidden_layers in (1, 4):
        kernel = tangent_kernel(x, x, hidden_layers)
        assert torch.allclose(kernel, kernel.T, atol=1e-12)
        assert float(torch.linalg.eigvalsh(kernel).min()) > -1e-6 * float(kernel.max())
        assert torch.allclose(tangent_kernel(x[:7], x[7:], hidden_layers), kernel[:7, 7:], atol=1e-12)


def test_slopes_are_finite_where_images_coincide():
    x, other = points().requires_grad_(True), points()
    slope = torch.autograd.grad(tangent_kernel(x, other, 3).sum() + tangent_kernel(x, x, 3).sum(), x)[0]
    assert slope.isfinite().all()


def test_slopes_are_the_differences():
    x, other = points(3, 4).requires_grad_(True), points(5, 4, seed=2)
    assert torch.autograd.gradcheck(lambda x: tangent_kernel(x, other, 2), (x,))
