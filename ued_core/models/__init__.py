"""Models that are trained or whose features are shown."""

from ued_core.catalogue import Catalogue
from ued_core.models.base import HEAD, PENULTIMATE, Model, Network
from ued_core.models.imagenet_nets import EfficientNetB1, RegNetX
from ued_core.models.pretrained import ClipRn50, ConvNeXtTiny, ImageNetResNet50, Lite0, PretrainedNet
from ued_core.models.resnet18 import ResNet18
from ued_core.models.small_cnn import SmallCnn
from ued_core.models.token_nets import MlpMixer, TinyVit

MODELS: Catalogue[Model] = Catalogue(
    "model",
    [SmallCnn, ResNet18, TinyVit, MlpMixer, EfficientNetB1, RegNetX, Lite0, ImageNetResNet50, ConvNeXtTiny, ClipRn50],
    group="ued_core.models",
    base=Model,
)

__all__ = [
    "HEAD",
    "MODELS",
    "PENULTIMATE",
    "EfficientNetB1",
    "Lite0",
    "MlpMixer",
    "Model",
    "Network",
    "PretrainedNet",
    "RegNetX",
    "ResNet18",
    "SmallCnn",
    "TinyVit",
]
