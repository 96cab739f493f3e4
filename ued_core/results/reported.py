"""What papers, leaderboards and talks report, as data: their tables under one vocabulary, their own spelling kept
beside it.

Nothing here was measured by this program. The tables were transcribed from the sources that every row names. The same
attack differs between sources (OPS without a defence: 36.55 % in one, 14.69 % in another), because crafting code,
budgets and schedules differ: values of different sources are shown beside each other and never averaged.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ued_core.assets import asset
from ued_core.errors import DataError, Unavailable

FOLDER = asset("reported")
COLUMNS = ("dataset", "model", "attack", "defense", "test_accuracy_percent", "source")
BUDGET = re.compile(r" \(L_\w+=[\d.]+\)$")
"""A budget behind an attack's name, as in ``EM (L_inf=8)``: part of the spelling, not of the name."""


@dataclass(frozen=True)
class Name:
    """What a spelling stands for.

    Attributes:
        key: of the catalogue where this program has the thing, otherwise a name used in these tables alone.
        title: what papers mostly call it.
        variant: which form of it, where a source tells several apart; empty for the usual one.
    """

    key: str
    title: str
    variant: str = ""

    @property
    def label(self) -> str:
        """Title and variant."""
        return f"{self.title} ({self.variant})" if self.variant else self.title


@dataclass(frozen=True)
class Source:
    """Where numbers were read.

    Attributes:
        text: as the tables name it.
        title: short, unique.
        kind: who reports: the authors of an attack or a defence, a benchmark, others who ran it again, or at second
            hand.
        where: paper, page or file.
        note: what is known of its protocol, and what is odd.
    """

    text: str
    title: str
    kind: str
    where: str
    note: str


@dataclass(frozen=True)
class ReportedRow:
    """One reported number.

    Attributes:
        dataset, model, attack, defense: what was trained, normalised; ``clean`` and ``none`` for no attack and no
            defence.
        test_accuracy: on clean test images, 0..1.
        source: who reports it.
        spelled: the source's own spelling of the four names.
    """

    dataset: Name
    model: Name
    attack: Name
    defense: Name
    test_accuracy: float
    source: Source
    spelled: Mapping[str, str]


def _spellings(*entries: tuple[Name, tuple[str, ...]]) -> Mapping[str, Name]:
    found = {spelling: name for name, spellings in entries for spelling in spellings}
    if len(found) != sum(len(spellings) for _, spellings in entries):
        raise ValueError("one spelling stands for two names")
    return MappingProxyType(found)


ATTACK_NAMES = _spellings(
    (Name("clean", "clean"), ("clean", "none")),
    (Name("em", "EM"), ("EM", "EMinN", "EM sample-wise (eps 8/255)")),
    (Name("emax", "EMaxN"), ("EMaxN",)),
    (Name("rem", "REM"), ("REM",)),
    (Name("tap", "TAP"), ("TAP", "AdvPoison")),
    (Name("hypo", "HYPO"), ("HYPO", "Hypocritical")),
    (Name("synper", "LSP"), ("LSP", "SynPer")),
    (Name("autoregressive", "AR"), ("AR",)),
    (Name("one_pixel", "OPS"), ("OPS",)),
    (Name("cuda", "CUDA"), ("CUDA",)),
    (Name("vuda", "VUDA"), ("VUDA",)),
    (Name("huda", "HUDA"), ("HUDA",)),
    (Name("uc", "UC"), ("UC",)),
    (Name("uc", "UC", "RN50"), ("UC (RN50)",)),
    (Name("uc", "UC", "CLIP"), ("UC-CLIP",)),
    (Name("uc", "UC", "CLIP RN50"), ("UC-CLIP (RN50)",)),
    (Name("uc", "UC", "CLIP ViT-B/32"), ("UC-CLIP (ViT-B/32)",)),
    (Name("ntga", "NTGA"), ("NTGA",)),
    (Name("deep_confuse", "DeepConfuse"), ("DC", "DeepConfuse", "Deep Confuse")),
    (Name("gue", "GUE"), ("GUE",)),
    (Name("sep", "SEP"), ("SEP",)),
    (Name("shortcut_gen", "ShortcutGen"), ("ShortcutGen",)),
    (Name("tensor_clog", "TensorClog"), ("TensorClog",)),
    (Name("ops_em", "OPS + EM"), ("OPS+EM",)),
)
DEFENSE_NAMES = _spellings(
    (Name("none", "none"), ("none",)),
    (Name("adversarial_training", "AT"), ("AT", "PGD-AT", "adversarial training")),
    (Name("adversarial_training", "AT", "L∞"), ("L-inf adversarial training",)),
    (Name("adversarial_training", "AT", "L2"), ("L2 adversarial training",)),
    (Name("adversarial_training", "AT", "ρ = 1"), ("AT rho=1",)),
    (Name("adversarial_training", "AT", "ρ = 2"), ("AT rho=2",)),
    (Name("coin", "COIN"), ("COIN",)),
    (Name("rsk", "RSK + FF"), ("RSK+FF",)),
    (Name("jpeg", "JPEG"), ("JPEG", "JPEG-10")),
    (Name("greyscale", "greyscale"), ("grayscale",)),
    (Name("bit_depth", "bit depth"), ("BDR",)),
    (Name("gaussian_as_published", "Gaussian, σ 0.1"), ("gaussian",)),
    (Name("cutout", "Cutout"), ("cutout",)),
    (Name("cutmix", "CutMix"), ("cutmix",)),
    (Name("mixup", "Mixup"), ("mixup",)),
    (Name("ueraser", "UEraser", "max"), ("UEraser-Max",)),
    (Name("dvae", "D-VAE"), ("D-VAE",)),
    (Name("avatar", "AVATAR"), ("AVATAR",)),
    (Name("le_jcdp", "LE-JCDP"), ("LE-JCDP",)),
    (Name("best_other", "best of 11 others"), ("best other of 11",)),
)
DATASET_NAMES = _spellings(
    (Name("cifar10", "CIFAR-10"), ("CIFAR-10", "CIFAR-10-S (OPS+EM)")),
    (Name("cifar100", "CIFAR-100"), ("CIFAR-100",)),
    (Name("svhn", "SVHN"), ("SVHN",)),
    (Name("imagenet100", "ImageNet-100"), ("ImageNet-100", "ImageNet100 (224x224)")),
    (Name("imagenet20", "ImageNet20"), ("ImageNet20 (64x64)",)),
    (Name("imagenet_part", "ImageNet*"), ("ImageNet*",)),
    (Name("pets", "Pets"), ("Pets",)),
    (Name("cars", "Cars"), ("Cars",)),
    (Name("flowers", "Flowers"), ("Flowers",)),
    (Name("food", "Food"), ("Food",)),
    (Name("sun397", "SUN397"), ("SUN397",)),
    (Name("not_stated", "data set not stated"), ("not_stated",)),
)
MODEL_NAMES = _spellings(
    (Name("resnet18", "ResNet-18"), ("ResNet-18",)),
    (Name("resnet50", "ResNet-50"), ("ResNet-50",)),
    (Name("senet18", "SENet-18"), ("SENet-18",)),
    (Name("mobilenet_v2", "MobileNetV2"), ("MobileNetV2",)),
    (Name("densenet121", "DenseNet-121"), ("DenseNet-121",)),
    (Name("efficientnet_b1", "EfficientNet-B1"), ("EfficientNet-B1",)),
    (Name("regnetx_1_6gf", "RegNetX-1.6GF"), ("RegNetX-1.6GF",)),
    (Name("mean_of_4", "mean of 4 networks"), ("average of 4",)),
    (Name("azure", "Azure's platform"), ("Azure (fastest training)",)),
    (Name("paddle", "PaddlePaddle's platform"), ("PaddlePaddle (fastest training)",)),
    (Name("not_stated", "network not stated"), ("not_stated",)),
)
# In APBench's code "gaussian" changes nothing; the released code of Unlearnable Clusters has two blurs, and both are
# real ones.
MEANS_THERE: Mapping[tuple[str, str], Name] = MappingProxyType(
    {("Unlearnable Clusters CVPR2023 slides Table 3", "gaussian"): Name("gaussian_blur", "Gaussian blur")}
)
NAMES: Mapping[str, Mapping[str, Name]] = MappingProxyType(
    {"dataset": DATASET_NAMES, "model": MODEL_NAMES, "attack": ATTACK_NAMES, "defense": DEFENSE_NAMES}
)

NOT_HERE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "attack": {
            "clean": "no attack",
            "ops_em": "two attacks in one set",
            **dict.fromkeys(("gue", "sep", "shortcut_gen", "tensor_clog"), "not built"),
        },
        "defense": {
            "none": "no defence",
            "best_other": "its source does not say which",
            **dict.fromkeys(("avatar", "le_jcdp"), "needs a diffusion model trained on clean images"),
        },
        "dataset": {
            "not_stated": "its source does not say which",
            **dict.fromkeys(
                ("imagenet100", "imagenet20", "imagenet_part"),
                "opens as an image folder",
            ),
        },
        "model": {
            **dict.fromkeys(("mean_of_4", "azure", "paddle", "not_stated"), "not one known network"),
            **dict.fromkeys(("resnet50", "senet18", "mobilenet_v2", "densenet121"), "not built"),
        },
    }
)
"""Column → key → why no catalogue has it. Whatever is in no catalogue is here, on purpose."""


def sources(folder: Path = FOLDER) -> dict[str, Source]:
    """What is known of every source, by the text that the tables name it with.

    Raises:
        Unavailable: the file is not there.
    """
    file = folder / "sources.json"
    if not file.exists():
        raise Unavailable(f"The list of sources {file} is missing.", "Restore assets/reported from the repository.")
    return {
        entry["source"]: Source(*(entry[name] for name in ("source", "title", "kind", "where", "note")))
        for entry in _json(file)
    }


def _json(file: Path) -> list[dict[str, str]]:
    return json.loads(file.read_text(encoding="utf-8"))


def reported(folder: Path = FOLDER) -> tuple[ReportedRow, ...]:
    """Every reported number, file by file in the order of the tables.

    Raises:
        Unavailable: the tables are not there.
        DataError: a column is missing, a name or source is in no vocabulary, or a value is no accuracy.
    """
    known = sources(folder)
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise Unavailable(f"There are no tables in {folder}.", "Restore assets/reported from the repository.")
    return tuple(row for file in files for row in _read(file, known))


def _read(file: Path, known: Mapping[str, Source]) -> list[ReportedRow]:
    with file.open(encoding="utf-8", newline="") as stream:
        table = csv.DictReader(stream)
        if tuple(table.fieldnames or ()) != COLUMNS:
            raise DataError(f"{file.name} has the columns {table.fieldnames}, but a table has {', '.join(COLUMNS)}.")
        return [_row(entry, known, f"{file.name}, line {table.line_num}") for entry in table]


def _row(entry: Mapping[str, str], known: Mapping[str, Source], place: str) -> ReportedRow:
    source = known.get(entry["source"])
    if source is None:
        raise DataError(f"{place}: the source {entry['source']!r} is not described.", "Add it to sources.json.")
    try:
        percent = float(entry["test_accuracy_percent"])
    except ValueError:
        percent = float("nan")
    if not 0 <= percent <= 100:
        raise DataError(f"{place}: {entry['test_accuracy_percent']!r} is no accuracy from 0 to 100 %.")
    spelled = {column: entry[column] for column in NAMES}
    names = {column: name_of(column, spelling, entry["source"], place) for column, spelling in spelled.items()}
    return ReportedRow(**names, test_accuracy=percent / 100, source=source, spelled=MappingProxyType(spelled))


def name_of(column: str, spelling: str, source: str = "", place: str = "") -> Name:
    """What a spelling stands for.

    Args:
        column: ``dataset``, ``model``, ``attack`` or ``defense``.
        spelling: as printed; a budget behind it is left out.
        source: the text of the source, for words that mean something else there.
        place: said in the error.

    Raises:
        DataError: the spelling is in no vocabulary.
    """
    if (source, spelling) in MEANS_THERE:
        return MEANS_THERE[source, spelling]
    known = NAMES[column]
    for text in (spelling, BUDGET.sub("", spelling)):
        if text in known:
            return known[text]
    where = f"{place}: " if place else ""
    raise DataError(
        f"{where}nobody said what the {column} {spelling!r} is.", "Add the spelling to ued_core/results/reported.py."
    )


def clean_reference(row: ReportedRow, rows: tuple[ReportedRow, ...]) -> float | None:
    """Accuracy without attack and defence in the same source, on the same data with the same model; None where it is
    not reported."""
    same = (row.source, row.dataset, row.model)
    found = [
        r for r in rows if (r.source, r.dataset, r.model) == same and (r.attack.key, r.defense.key) == ("clean", "none")
    ]
    return found[0].test_accuracy if found else None
