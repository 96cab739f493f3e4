"""The small networks that ship with the program: reference models, trained on clean images, whose features are what
layouts show; and networks trained on poisoned images."""

from __future__ import annotations

import functools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ued_core.analysis.feature_quality import fit_head
from ued_core.assets import asset
from ued_core.context import Context
from ued_core.errors import Unavailable
from ued_core.models import MODELS, Network
from ued_core.records import ImageSet
from ued_core.training import features

FOLDER = asset("reference")
VICTIMS = asset("victims")
"""Networks trained on poisoned images. Not among the reference models, each of which a labelled surrogate may take."""


@functools.lru_cache(maxsize=16)
def reference_card(name: str) -> dict[str, Any]:
    """What is known of a network that ships: its spec, accuracy and the command that trains it.

    Raises:
        Unavailable: the file is not there.
    """
    path = _place(name, "json")
    if not path.exists():
        raise Unavailable(
            f"The reference model {name!r} is not in {FOLDER.name}.", "Train it: python -m benchmarks.reference_models."
        )
    return json.loads(path.read_text(encoding="utf-8"))


def reference_for(dataset: str) -> str:
    """Name of the reference model for a data set: its own where there is one, else that of shapes."""
    return dataset if (FOLDER / f"{dataset}.safetensors").exists() else "shapes"


def reference_words(dataset: str) -> str:
    """What network looks at a data set, what it reaches, and whether it knows such images; for captions."""
    card = reference_card(reference_for(dataset))
    own = card["spec"]["dataset"]["name"]
    strange = "" if own == dataset else ", which has never seen images such as these"
    return (
        f"a small CNN trained on clean {own} ({100 * card['clean_test_accuracy']:.1f} % clean test accuracy){strange}"
    )


def victims_of(dataset: str) -> tuple[str, ...]:
    """Names of the networks trained on poisoned images of a data set, by its name."""
    cards = {path.stem: reference_card(path.stem) for path in sorted(VICTIMS.glob("*.json"))}
    return tuple(name for name, card in cards.items() if card["spec"]["dataset"]["name"] == dataset)


@functools.lru_cache(maxsize=8)
def reference_network(name: str) -> Network:
    """A network that ships, in evaluation mode, on the CPU.

    Raises:
        Unavailable: the file is not there.
    """
    card = reference_card(name)
    model = MODELS.parse(card["spec"]["model"])
    network = model.build(tuple(card["shape"]), len(card["class_names"]), Context().generator("reference"))
    state = load_file(_place(name, "safetensors"))
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return _at_rest(network)


def encoder_network(name: str, clean: ImageSet, ctx: Context) -> Network:
    """A published encoder that never saw such images, in evaluation mode, on the CPU.

    Its answers are those of a linear layer that is fitted to the clean images given.

    Args:
        name: of a pre-trained model of the catalogue.
        clean: images with their labels.
        ctx: progress and cancellation.

    Raises:
        Unavailable: its file of weights is not here.
    """
    network = MODELS.build(name).build(clean.shape, clean.classes, ctx.generator("reference", device="cpu"))
    weights, bias = fit_head(features(network, clean.images, ctx), clean.labels, clean.classes)
    network.head.load_state_dict({"weight": weights, "bias": bias})
    return _at_rest(network)


def encoder_words(name: str) -> str:
    """What a published encoder is, for captions."""
    return (
        f"{MODELS[name].title}, which was never trained on these images; its answers are those of a linear layer "
        "fitted to the clean ones shown"
    )


def ready_encoders() -> tuple[str, ...]:
    """The pre-trained models of the catalogue whose weights are here; quick once the files were looked at."""
    found = []
    for name in MODELS.where(starts_pretrained=True):
        with suppress(Unavailable):
            MODELS.build(name).initial_weights()
            found.append(name)
    return tuple(found)


def _place(name: str, ending: str) -> Path:
    victim = VICTIMS / f"{name}.{ending}"
    return victim if victim.exists() else FOLDER / f"{name}.{ending}"


def _at_rest(network: Network) -> Network:
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.to(memory_format=torch.channels_last)
