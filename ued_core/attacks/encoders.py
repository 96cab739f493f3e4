"""Frozen image encoders for attacks that look at features and never at labels."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from ued_core.assets import asset
from ued_core.context import Context
from ued_core.errors import Unavailable
from ued_core.files import sha256_of
from ued_core.home import home
from ued_core.models import MODELS, Network
from ued_core.models.clip_tower import ClipTower
from ued_core.records import ImageSet, to_float

EncoderName = Literal["embedded", "labelled", "resnet50", "clip"]
ASSETS = asset()
EMBEDDED_SIDE = 32
PUBLISHED_SIDE = 224
RESNET50_FILE = "resnet50-0676ba61.pth"
"""torchvision's first ImageNet weights, which the paper's release loads; the name holds the start of the SHA-256."""
CLIP_FILE = "RN50.pt"
CLIP_ADDRESS = "https://openaipublic.azureedge.net/clip/models/afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


class Encoder(nn.Module):
    """Images in [0, 1] of any size and one or three channels → features; frozen and in evaluation mode.

    Args:
        body: float (N, 3, side, side), normalised → features (N, D).
        side: the images are brought to this size first, so that a perturbation keeps the size of the images.
        mean, std: three numbers each; what normalisation subtracts and divides by.
        note: what it is, as one sentence for a result.
        proxy: whether it only stands in for the pre-trained encoders of the paper.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self, body: nn.Module, side: int, mean: tuple[float, ...], std: tuple[float, ...], note: str, proxy: bool
    ) -> None:
        super().__init__()
        self.body, self.side, self.note, self.proxy = body, side, note, proxy
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.eval()
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Encoder:
        """It stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) of float images (N, C, H, W) in [0, 1]; C is 1 or 3, other numbers use the first three."""
        colour = images[:, :1].expand(-1, 3, -1, -1) if images.shape[1] < 3 else images[:, :3]
        if colour.shape[-2:] != (self.side, self.side):
            shrinks = max(colour.shape[-2:]) > self.side
            colour = F.interpolate(
                colour, size=(self.side, self.side), mode="bilinear", align_corners=False, antialias=shrinks
            )
        return self.body((colour - self.mean) / self.std)


class _Body(nn.Module):
    """The features of one of our networks, whose normalisation lives inside."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network.features(images)


def encoder_for(name: EncoderName, data_name: str) -> Encoder:
    """The encoder of that name, on the CPU, to be used and not changed.

    Args:
        name: ``embedded``, ``labelled``, ``resnet50`` or ``clip``.
        data_name: which data set it is for; only ``labelled`` looks at it.

    Raises:
        Unavailable: its file or its package is not here; the message names both.
    """
    makers: dict[str, Callable[[], Encoder]] = {
        "embedded": _embedded,
        "labelled": lambda: _labelled(
            data_name if (ASSETS / "reference" / f"{data_name}.safetensors").exists() else "shapes"
        ),
        "resnet50": lambda: resnet50(weights_folder()),
        "clip": lambda: clip(weights_folder()),
    }
    return makers[name]()


def weights_folder() -> Path:
    """Where downloaded encoder weights are looked for; it is not made here."""
    return home() / "encoders"


@torch.no_grad()
def features_of(
    encoder: Encoder, data: ImageSet, ctx: Context, spend: Callable[[int], None] = lambda count: None
) -> torch.Tensor:
    """Features of every image, float32 (N, D) on the CPU.

    Args:
        encoder: on ``ctx.device``.
        data: its labels are not looked at.
        ctx: device and cancellation.
        spend: told the number of images after every batch; may raise to stop.
    """
    size = max(1, (64 if ctx.device.type == "cpu" else 1024) * EMBEDDED_SIDE // encoder.side)
    found: list[torch.Tensor] = []
    for start in range(0, len(data), size):
        ctx.check()
        images = to_float(data.images[start : start + size].to(ctx.device))
        found.append(encoder(images).float().cpu())
        spend(len(images))
    return torch.cat(found)


# ---------------------------------------------------------------- shipped


@dataclass(frozen=True)
class _Shipped:
    folder: str
    name: str

    def card(self) -> dict[str, Any]:
        path = ASSETS / self.folder / f"{self.name}.json"
        if not path.exists():
            raise Unavailable(
                f"The encoder's card assets/{self.folder}/{path.name} is not there.",
                "It ships with the program; restore it, or make it again: python -m benchmarks.embedded_encoder."
                if self.folder == "encoder"
                else "It ships with the program; restore it, or make it again: python -m benchmarks.reference_models.",
            )
        return json.loads(path.read_text(encoding="utf-8"))

    def network(self) -> Network:
        card = self.card()
        model = MODELS.parse(card["model"] if "model" in card else card["spec"]["model"])
        classes = card["classes"] if "classes" in card else len(card["class_names"])
        network = model.build(tuple(card["shape"]), classes, Context().generator("shipped encoder", device="cpu"))
        state = load_file(ASSETS / self.folder / f"{self.name}.safetensors")
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        return network


def embedded_card() -> dict[str, Any]:
    """What is known of the embedded encoder: recipe, seed, accuracy, ``nmi`` of its clusters with the classes of the
    embedded sets.

    Raises:
        Unavailable: the file is not there.
    """
    return _Shipped("encoder", "embedded").card()


@functools.lru_cache(maxsize=1)
def _kept_embedded() -> Network:
    return _Shipped("encoder", "embedded").network()


def _embedded() -> Encoder:
    forms = embedded_card()["classes"]
    note = (
        f"UC (proxy surrogate): the embedded encoder is a small CNN that tells {forms} drawn forms apart, "
        "not the ImageNet or CLIP encoder of the paper."
    )
    return encoder_of(_kept_embedded(), note)


def _labelled(name: str) -> Encoder:
    note = (
        "UC (labelled surrogate): the encoder is the shipped model that was trained on the labelled images of "
        f"{name!r}. "
        "On these data this is not label-agnostic. It is a control, not a bound: another encoder's noise may harm more."
    )
    return encoder_of(_Shipped("reference", name).network(), note)


def encoder_of(network: Network, note: str) -> Encoder:
    """A network of this program as an encoder: its features before the last layer, and where it comes from."""
    encoder = Encoder(_Body(network), EMBEDDED_SIDE, (0.0,) * 3, (1.0,) * 3, note, proxy=True)
    return encoder.to(memory_format=torch.channels_last)


# ---------------------------------------------------------------- weights that a person brings


def resnet50(folder: Path) -> Encoder:
    """torchvision's ResNet-50, features before its last layer, (N, 2048).

    Args:
        folder: where the weights lie under torchvision's own file name; torch's download folder is looked into as well.

    Raises:
        Unavailable: no such file, or one with another content than its name promises.
    """
    found = _resnet50_file(folder)
    if found is None:
        raise Unavailable(
            f"The encoder 'resnet50' needs torchvision's ImageNet weights {RESNET50_FILE}, "
            f"but they are neither in {folder} nor in torch's download folder.",
            f"Download https://download.pytorch.org/models/{RESNET50_FILE} (98 MB) into that folder, or take the "
            "encoder 'embedded'.",
        )
    digest, wanted = sha256_of(found), found.stem.rpartition("-")[2]
    if not digest.startswith(wanted):
        raise Unavailable(
            f"{found} has the SHA-256 {digest[:8]}…, but its name promises {wanted}….",
            "The download is damaged: fetch it again.",
        )
    from torchvision.models import resnet50 as build

    with torch.random.fork_rng(devices=[]):
        network = build(weights=None)
    try:
        network.load_state_dict(torch.load(found, map_location="cpu", weights_only=True))
    except (RuntimeError, OSError, ValueError) as error:
        raise Unavailable(f"{found} does not hold the weights of a ResNet-50: {str(error).splitlines()[0]}") from error
    network.fc = nn.Identity()
    return Encoder(
        network,
        PUBLISHED_SIDE,
        *IMAGENET,
        "The encoder is torchvision's ResNet-50 pre-trained on ImageNet.",
        proxy=False,
    )


def _resnet50_file(folder: Path) -> Path | None:
    places = (folder, Path(torch.hub.get_dir()) / "checkpoints")
    return next((place / RESNET50_FILE for place in places if (place / RESNET50_FILE).is_file()), None)


def clip(folder: Path) -> Encoder:
    """The image tower of OpenAI's CLIP RN50, its 1024 attention-pooled features, not normalised.

    Args:
        folder: where :data:`CLIP_FILE` lies: OpenAI's archive, or a dictionary of weights saved by torch, of the whole
            model (as OpenAI and open_clip name them) or of the image tower alone.

    Raises:
        Unavailable: the file is not here, or holds something else.
    """
    path = folder / CLIP_FILE
    if not path.is_file():
        raise Unavailable(
            f"The encoder 'clip' needs OpenAI's weights of CLIP RN50 as {CLIP_FILE}, but they are not in {folder}.",
            f"Download {CLIP_ADDRESS} (244 MB) into that folder, or take the encoder 'embedded'.",
        )
    with torch.device("meta"):
        tower = ClipTower()
    wanted = tower.state_dict()
    try:
        held = _tensors(path)
        # As saved from the whole model, from the whole model in parallel, or from the tower alone.
        prefix = next(p for p in ("visual.", "module.visual.", "") if f"{p}conv1.weight" in held)
        state = {name: held[prefix + name].to(value.dtype) for name, value in wanted.items()}
        tower.load_state_dict(state, assign=True)
    except (StopIteration, KeyError, RuntimeError, OSError, ValueError, AttributeError, UnpicklingError) as error:
        told = str(error).splitlines()[0] if str(error) else "no convolution of that name"
        raise Unavailable(f"{path} does not hold the image tower of CLIP RN50: {told}") from error
    return Encoder(
        tower, PUBLISHED_SIDE, *CLIP, "The encoder is the image tower of OpenAI's CLIP RN50 (UC-CLIP).", proxy=False
    )


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """What a file of weights holds, read without executing anything from it but, in an archive, TorchScript."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            scripted = any(name.endswith("/constants.pkl") for name in archive.namelist())
        if scripted:
            return torch.jit.load(str(path), map_location="cpu").state_dict()
    held = torch.load(path, map_location="cpu", weights_only=True)
    return held.get("state_dict", held)


def crafted_with(name: EncoderName) -> dict[str, str]:
    """File → SHA-256 of the weights that an encoder of that name consists of; files that are not here are left out."""
    files: dict[str, Callable[[], list[Path]]] = {
        "embedded": lambda: [ASSETS / "encoder" / "embedded.safetensors"],
        # Which of them is taken depends on the data set.
        "labelled": lambda: sorted((ASSETS / "reference").glob("*.safetensors")),
        "resnet50": lambda: [path for path in [_resnet50_file(weights_folder())] if path is not None],
        "clip": lambda: [weights_folder() / CLIP_FILE],
    }
    return {
        path.name: _known_sha256(path, path.stat().st_mtime_ns, path.stat().st_size)
        for path in files[name]()
        if path.is_file()
    }


@functools.lru_cache(maxsize=16)
def _known_sha256(path: Path, written: int, size: int) -> str:
    return sha256_of(path)
