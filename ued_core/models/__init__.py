"""Models that are trained or whose features are shown."""

from ued_core.models.base import HEAD, PENULTIMATE, Model, Network
from ued_core.models.resnet18 import ResNet18
from ued_core.models.small_cnn import SmallCnn
from ued_core.params import Catalogue

MODELS: Catalogue[Model] = Catalogue("model", [SmallCnn, ResNet18])

__all__ = ["HEAD", "MODELS", "PENULTIMATE", "Model", "Network", "ResNet18", "SmallCnn"]
