"""The formats in which repositories publish poison, and what a reader takes out of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

ROLES = ("", "ids", "labels")


@dataclass(frozen=True)
class Numbers:
    """Whole numbers that lie beside the entries.

    Attributes:
        name: what the file calls them, in words.
        values: int64 (N,).
        role: ``ids`` (the training image of each entry), ``labels``, or empty when the file does not say.
    """

    name: str
    values: np.ndarray
    role: str = ""


@dataclass(frozen=True)
class Raw:
    """What a reader took out of a file; nothing is decided yet.

    Attributes:
        format: key of :data:`FORMATS` where the container says it; otherwise the container's own key.
        array: 3-D to 5-D maps or images in the file's own layout and type.
        content: ``noise`` or ``images`` where the format or a name in the file says so; empty otherwise.
        called: the name in the file that says so, such as ``'delta'``; empty when the format itself does.
        numbers: what lies beside the entries: indices or labels.
        clusters: int64, which map each training image gets; None when there are none.
        folders: the class folder of each entry; empty when there are none.
        class_names: names that come with the labels; empty when there are none.
        recipe: JSON that the file carries; None when there is none.
        stored: type of the values in the file, where the array's own differs.
        notes: what the reader saw, in words.
    """

    format: str
    array: np.ndarray
    content: str = ""
    called: str = ""
    numbers: tuple[Numbers, ...] = ()
    clusters: np.ndarray | None = None
    folders: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    recipe: Any = None
    stored: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One way in which a repository writes its poison.

    Attributes:
        key: short name.
        title: for choices.
        writes: what the file holds, in words.
        source: whose format it is.
        rules: keys of :data:`ued_core.data.poison_files.loaders.RULES`, the usual loader first.
        channels_first: how ambiguous shapes are read.
        radius: a bound that the released code applies when it loads, in 1/255; None where there is none.
    """

    key: str
    title: str
    writes: str
    source: str
    rules: tuple[str, ...]
    channels_first: bool = True
    radius: float | None = None


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        f.key: f
        for f in (
            Format(
                "em",
                "EM perturbation.pt",
                "one float tensor of noise",
                "HanxunH/Unlearnable-Examples",
                ("em", "em_signed"),
            ),
            Format(
                "rem", "REM noise pickle", "int8 noise in levels", "fshp971/robust-unlearnable-examples", ("rem", "em")
            ),
            Format(
                "tap",
                "TAP [delta, ids]",
                "noise and the images it is for",
                "lhfowl/adversarial_poisons",
                ("tap", "lsp"),
            ),
            Format(
                "lsp",
                "LSP simple_data.npy",
                "a pool of noise for each class",
                "dayu11/Availability-Attacks-Create-Shortcuts",
                ("lsp", "tap"),
                channels_first=False,
            ),
            Format(
                "noise_npy", "noise as .npy", "an array of noise", "DeepConfuse, TAP and others", ("tap", "lsp", "em")
            ),
            Format(
                "ntga",
                "NTGA x_train.npy",
                "whole images in 0..1",
                "lionelmessi6410/ntga",
                ("ntga",),
                channels_first=False,
            ),
            Format(
                "images_npy",
                "images as .npy",
                "whole images",
                "TAP's numpy export and others",
                ("stored", "ntga"),
                channels_first=False,
            ),
            Format(
                "torch",
                "torch file of arrays",
                "images or noise, with labels in most cases",
                "PIL, Delusive-Adversary and others",
                ("pil", "stored", "em", "em_signed", "tap"),
            ),
            Format(
                "pickled",
                "pickled arrays",
                "images or noise, with labels in most cases",
                "several repositories",
                ("stored", "pil", "tap", "em", "em_signed"),
            ),
            Format(
                "npz_arrays",
                "npz of other programs",
                "arrays such as 'data' and 'targets'",
                "AVATAR, BridgePure and others",
                ("stored", "pil", "tap", "em", "em_signed"),
                channels_first=False,
            ),
            Format(
                "safetensors",
                "safetensors",
                "images or noise, with labels in most cases",
                "several repositories",
                ("stored", "pil", "tap", "em", "em_signed"),
            ),
            Format(
                "coin", "COIN or ECLIPSE list", "a pickled list of (image, label)", "COIN, ECLIPSE and DUNE", ("coin",)
            ),
            Format(
                "apbench",
                "PNG tree",
                "whole images, <index>.png or <class>/<index>.png",
                "APBench",
                ("stored",),
                channels_first=False,
            ),
            Format(
                "uc",
                "Unlearnable Clusters .pth",
                "one noise map per cluster",
                "jiamingzhang94/Unlearnable-Clusters",
                ("uc",),
                radius=16.0,
            ),
            Format(
                "npz",
                "UED Studio .npz",
                "whole images, labels and a recipe",
                "UED Studio",
                ("stored",),
                channels_first=False,
            ),
        )
    }
)

ARRAYS = ("em", "rem", "tap", "lsp", "noise_npy", "ntga", "images_npy", "torch", "pickled", "npz_arrays", "safetensors")
"""Formats of one array and what lies beside it: a file of one of them can be read as any other."""
CONTENT_OF: Mapping[str, str] = MappingProxyType(
    {"ntga": "images", "images_npy": "images", **dict.fromkeys(("noise_npy", "lsp", "em", "rem", "tap"), "noise")}
)
"""What a file is taken for when one of these formats is insisted on."""
