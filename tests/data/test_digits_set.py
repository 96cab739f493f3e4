"""The bundled digits: counts, shares, and pixels that are still the scans."""

import torch
from sklearn.datasets import load_digits

from ued_core.context import Context
from ued_core.data.digits import Digits


def test_sizes_types_and_shares():
    split = Digits().load(Context())
    assert split.train.images.shape == (1400, 3, 32, 32)
    assert split.test.images.shape == (397, 3, 32, 32)
    assert split.train.class_names == tuple("0123456789")
    whole = torch.bincount(torch.from_numpy(load_digits().target)).double()
    share = torch.bincount(split.test.labels).double()
    assert ((share - whole * 397 / 1797).abs() < 1).all()
    assert torch.equal(share + torch.bincount(split.train.labels), whole)


def test_enlarged_images_average_back_to_the_scans():
    split = Digits().load(Context())
    small = torch.nn.functional.avg_pool2d(split.train.images[:, :1].float() / 255 * 16, 4)[:, 0]
    scans = torch.from_numpy(load_digits().images).float().view(1797, -1)
    distance = torch.cdist(small.view(1400, -1), scans)
    nearest = distance.argmin(1)
    assert len(set(nearest.tolist())) >= 1395, "every image comes from a scan of its own"
    assert torch.equal(torch.from_numpy(load_digits().target)[nearest], split.train.labels)
    assert (split.train.images[:, 0] == split.train.images[:, 2]).all(), "the channels agree"
    assert split.train.images.min() == 0
    assert split.train.images.max() == 255


def test_seed_decides_the_split_and_nothing_else_does():
    one, again = Digits(seed=3).load(Context(seed=1)), Digits(seed=3).load(Context(seed=9))
    other = Digits(seed=4).load(Context())
    assert torch.equal(one.train.images, again.train.images)
    assert not torch.equal(one.test.images, other.test.images)
