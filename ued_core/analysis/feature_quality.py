"""Are a poisoned network's features any good? Its last layer is refitted on clean images, everything before stays.

What deep feature reweighting measures (as in arXiv 2305.19254): a network that fails on clean images may still have
learned to see, and only decide by the shortcut. The same refit on a network that was never trained tells what
random features alone would give.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F

from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.models import Network
from ued_core.records import ImageSet, to_float
from ued_core.training import accuracy, features

MOST_IMAGES = 5000
PENALTY = 1e-3
ROUNDS = 200
BATCH = 256


@dataclass(frozen=True)
class FeatureQuality:
    """Accuracies on clean test images, 0..1.

    Attributes:
        as_trained: of the network with its own last layer.
        refitted: of the network with a last layer that was fitted to clean images.
        untrained: the same refit on the features of the untrained network: the control.
        images: number of clean training images that the last layers were fitted to.
        values: number of features.
        tested: number of clean test images that all three accuracies were counted on.
    """

    as_trained: float
    refitted: float
    untrained: float
    images: int
    values: int
    tested: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def feature_quality(
    network: Network, untrained: Network, clean: ImageSet, test: ImageSet, ctx: Context, most: int = MOST_IMAGES
) -> FeatureQuality:
    """Refit the last layer of a trained and of an untrained network, and test both on clean images.

    The trained network is used in evaluation mode, with the statistics of its own training. The untrained one has
    no statistics yet: a copy of it takes them from the clean images. Both networks stay as they are.

    Args:
        network: trained, usually on poisoned images.
        untrained: of the same model, its weights just drawn.
        clean: clean training images; of more than ``most`` a random part is used.
        test: clean test images, of the same classes.
        ctx: device, progress, cancellation; its seed picks the part.
        most: the published number is 5,000.

    Raises:
        DataError: the two sets have other classes, or a network gives another number of scores.

    Source:
        Deep feature reweighting of poisoned networks, arXiv 2305.19254, and its release: the last layer refitted to
        5,000 clean images, beside a network that was never trained.

    Differs:
        The release fits in 15 passes of L-BFGS at a rate of 0.5 over batches of 1,024, wherever that ends; here one
        problem over all features, standardised, with a penalty of 0.001 on the weights, is solved to its optimum. The
        release leaves the network in training mode, so that its batch normalisation learns from clean images too; here
        it keeps its own.
    """
    scores = network.head.out_features
    if clean.class_names != test.class_names or scores != clean.classes or untrained.head.out_features != scores:
        raise DataError(
            f"The network gives {scores} scores, the sets have {clean.classes} and {test.classes} classes; they "
            "must agree.",
            "Take the data set that the network was trained on.",
        )
    picked = torch.randperm(len(clean), generator=ctx.generator("feature quality", device="cpu"))[:most]
    part = clean.take(picked)
    ctx.report(0, 3, "features of the trained network")
    refitted = refitted_accuracy(network.to(ctx.device), part, test, ctx)
    ctx.report(1, 3, "features of the untrained network")
    control = refitted_accuracy(with_statistics(untrained, part, ctx), part, test, ctx)
    ctx.report(2, 3, "accuracy as trained")
    plain = accuracy(network, test, ctx)
    ctx.report(3, 3, "feature quality")
    return FeatureQuality(plain, refitted, control, len(part), network.head.in_features, len(test))


def refitted_accuracy(network: Network, clean: ImageSet, test: ImageSet, ctx: Context) -> float:
    """Accuracy on test images of a last layer fitted to the network's features of clean ones, 0..1."""
    known, asked = features(network, clean.images, ctx), features(network, test.images, ctx)
    weights, bias = fit_head(known, clean.labels, clean.classes)
    return float(((asked @ weights.T + bias).argmax(1) == test.labels).double().mean())


def fit_head(known: torch.Tensor, labels: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Multinomial logistic regression on features, fitted by L-BFGS until nothing moves.

    Features are brought to mean 0 and spread 1 for the fit, with a small penalty on the weights; the problem then has
    one optimum.

    Args:
        known: float (N, D) on the CPU.
        labels: int64 (N,).
        classes: K.

    Returns:
        Weights (K, D) and bias (K,) for the features as they are, float32.
    """
    middle, spread = known.mean(0), known.std(0, correction=0).clamp(min=1e-6)
    scaled = ((known - middle) / spread).double()
    weights = torch.zeros((classes, known.shape[1]), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weights, bias], max_iter=ROUNDS, tolerance_grad=1e-6, tolerance_change=1e-10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        solver.zero_grad()
        value = F.cross_entropy(scaled @ weights.T + bias, labels) + PENALTY / 2 * weights.square().sum()
        value.backward()
        return value

    solver.step(loss)
    found = (weights.detach() / spread).float()
    return found, (bias.detach() - found.double() @ middle.double()).float()


@torch.no_grad()
def with_statistics(network: Network, data: ImageSet, ctx: Context) -> Network:
    """A copy whose batch normalisation has the mean statistics of all batches of the data; its weights are the same."""
    with torch.random.fork_rng(devices=[]):
        copied = Network(
            copy.deepcopy(network.body), network.head.in_features, network.head.out_features, network.layers
        )
    copied.head.load_state_dict(network.head.state_dict())
    copied.to(ctx.device)
    layers = [m for m in copied.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    copied.train()
    # A last batch of one image would have no spread.
    for start in range(0, len(data) - 1, BATCH):
        ctx.check()
        copied(to_float(data.images[start : start + BATCH].to(ctx.device)))
    return copied.eval()
