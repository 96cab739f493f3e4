"""Real handwritten digits that come with scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from ued_core.context import Context
from ued_core.data.base import Dataset, divide
from ued_core.params import param
from ued_core.records import DataSplit, ImageSet, to_bytes

CLASS_NAMES = tuple(str(digit) for digit in range(10))
SIDE = 32

_TEST_SIZE = 397
_BRIGHTEST = 16


class Digits(Dataset):
    """Real handwritten digits, enlarged to colour images of 32 × 32; needs no file.

    The 1,797 scans of 8 × 8 pixels and 17 grey levels that scikit-learn bundles, enlarged
    smoothly (bicubic, clipped) and repeated over red, green and blue: 1,400 to train on and
    397 to test on, every class in both with its own share.

    Source:
        E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine
        Learning Repository (1998), the test part, as bundled with scikit-learn.
    """

    key: ClassVar[str] = "digits"
    title: ClassVar[str] = "Digits"
    embedded: ClassVar[bool] = True
    mirror_safe: ClassVar[bool] = False
    recommended_plan: ClassVar[Mapping[str, Any]] = MappingProxyType({"epochs": 25, "batch_size": 64})

    seed: int = param(0, "Which images are for training and which for testing.", ge=0, le=2**31 - 1)

    def load(self, ctx: Context) -> DataSplit:
        """Enlarge the bundled scans and divide them."""
        from sklearn.datasets import load_digits

        ctx.report(0, 1, "Reading the digits")
        bundled = load_digits()
        small = torch.from_numpy(bundled.images).to(torch.float32).unsqueeze(1) / _BRIGHTEST
        large = F.interpolate(small, size=(SIDE, SIDE), mode="bicubic", align_corners=False)
        images = to_bytes(large).repeat(1, 3, 1, 1)
        labels = torch.from_numpy(bundled.target).to(torch.int64)
        generator = ctx.with_seed(self.seed).generator(self.key, "split", device="cpu")
        split = divide(ImageSet(images, labels, CLASS_NAMES, self.key), _TEST_SIZE, generator)
        ctx.report(1, 1, "Reading the digits")
        return split
