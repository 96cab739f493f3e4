"""The refitted last layer: against an independent solver, and on networks whose features are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from ued_core.analysis.feature_quality import feature_quality, fit_head, with_statistics
from ued_core.context import Context
from ued_core.errors import Cancelled, DataError
from ued_core.models import MODELS, Network
from ued_core.records import ImageSet, to_float


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def coloured(count: int, seed: int) -> ImageSet:
    """Three classes whose brightest channel is the class."""
    labels = torch.arange(count) % 3
    images = torch.randint(0, 120, (count, 3, 8, 8), generator=rng(seed), dtype=torch.uint8)
    images[torch.arange(count), labels] += 60
    return ImageSet(images, labels, tuple("abc"), "coloured")


def seeing(head: torch.Tensor) -> Network:
    """A network whose features are the mean colours."""
    network = Network(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3, 3)
    with torch.no_grad():
        network.head.weight.copy_(head)
        network.head.bias.zero_()
    return network


def blind() -> Network:
    """A network whose features say nothing."""
    network = seeing(torch.eye(3))
    network.body = nn.Sequential(network.body, nn.Linear(3, 3))
    nn.init.zeros_(network.body[1].weight)
    return network


def test_head_is_that_of_another_solver() -> None:
    from sklearn.linear_model import LogisticRegression

    known = torch.randn(200, 5, generator=rng()) * torch.tensor([1.0, 3.0, 0.2, 1.0, 1.0]) + 2
    labels = (known[:, 0] + 0.3 * torch.randn(200, generator=rng(1)) > 2).long() + (known[:, 1] > 4).long()
    weights, bias = fit_head(known, labels, 3)
    scaled = ((known - known.mean(0)) / known.std(0, correction=0)).double().numpy()
    # C is one over the penalty times the number of images.
    other = LogisticRegression(C=1 / (1e-3 * 200), tol=1e-10, max_iter=10_000).fit(scaled, labels.numpy())
    mine = torch.softmax(known.double() @ weights.double().T + bias.double(), 1).numpy()
    assert np.allclose(mine, other.predict_proba(scaled), atol=2e-3)


def test_good_features_with_a_wrong_head() -> None:
    train, test = coloured(300, 0), coloured(90, 1)
    network = seeing(torch.eye(3).roll(1, 0))
    found = feature_quality(network, blind(), train, test, Context())
    assert found.as_trained == 0.0
    assert found.refitted == 1.0
    assert found.untrained == pytest.approx(1 / 3)
    assert (found.images, found.values) == (300, 3)
    assert feature_quality(blind(), network, train, test, Context(), most=50).images == 50


def test_networks_stay_as_they_are() -> None:
    train, test = coloured(60, 0), coloured(30, 1)
    model = MODELS.build("small_cnn", width=4)
    network, untrained = (model.build((3, 8, 8), 3, rng(seed)) for seed in (1, 2))
    network.train()
    before = [{k: v.clone() for k, v in n.state_dict().items()} for n in (network, untrained)]
    first = feature_quality(network, untrained, train, test, Context(seed=4))
    assert network.training
    for net, state in zip((network, untrained), before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert feature_quality(network, untrained, train, test, Context(seed=4)) == first
    assert first.untrained > 0.5, "random convolutions see colours"


def test_statistics_are_those_of_the_data() -> None:
    data = coloured(300, 0)
    untrained = MODELS.build("small_cnn", width=4).build((3, 8, 8), 3, rng())
    made = with_statistics(untrained, data, Context())
    norm = next(m for m in made.modules() if isinstance(m, nn.BatchNorm2d))
    seen = next(m for m in made.modules() if isinstance(m, nn.Conv2d))((to_float(data.images) - 0.5) / 0.25)
    parts = torch.stack([seen[:256].mean((0, 2, 3)), seen[256:].mean((0, 2, 3))])
    assert torch.allclose(norm.running_mean, parts.mean(0), atol=1e-4)
    assert not made.training


def test_limits() -> None:
    train, test = coloured(30, 0), coloured(30, 1)
    four = ImageSet(train.images, train.labels, tuple("abcd"), "four")
    with pytest.raises(DataError, match="3 scores"):
        feature_quality(blind(), blind(), four, four, Context())
    with pytest.raises(Cancelled):
        feature_quality(blind(), blind(), train, test, Context(stop=lambda: True))
