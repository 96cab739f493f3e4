"""What the papers of the four systems claim, as far as it can be tested at this size, and what the stored runs say.

A claim is a list of comparisons between conditions of studies that ship. Its verdict follows from them by one rule
(:func:`verdict`), so it changes when rows are added, and nothing here says how it will come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from ued_core.assets import asset
from ued_core.results.evidence import Comparison, aligned, compare
from ued_core.results.shipped_runs import ShippedRun, shipped_runs
from ued_core.runs.listing import Snapshot
from ued_core.studies.progress import Cell, StudyProgress, progress_of
from ued_core.studies.study import BETWEEN, Study

Wanted = Literal["higher", "lower", "not lower", "not higher"]
Verdict = Literal["holds", "holds so far", "holds in part", "does not hold", "cannot be told", "not run yet"]
MARGIN = 0.03
"""A difference is none when its whole 95 % interval lies within so much of zero, on the side that is asked about."""
LEAST = 3
"""Pairs that a comparison needs."""


class Check(NamedTuple):
    """One comparison of a claim.

    Attributes:
        name: what is compared, in a few words.
        condition, control: their labels in the study.
        wanted: how the condition's accuracy should stand to the control's if the claim is true.
    """

    name: str
    condition: str
    control: str
    wanted: Wanted


@dataclass(frozen=True)
class Claim:
    """What a paper says, in our words.

    Attributes:
        paper: short name and number.
        text: one sentence.
        study: whose conditions the tests compare.
        checks: all of them must come out as wanted.
    """

    paper: str
    text: str
    study: str
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Judgement:
    """A claim with what was measured.

    Attributes:
        claim: what was tested.
        found: each check with its comparison on the same draws; None where fewer than :data:`LEAST` pairs exist.
        verdict: by :func:`verdict`.
    """

    claim: Claim
    found: tuple[tuple[Check, Comparison | None], ...]
    verdict: Verdict


# ---- judging -----------------------------------------------------------------------------------


def outcome(wanted: Wanted, found: Comparison) -> bool | None:
    """Whether a comparison came out as wanted; None where it cannot be told.

    Args:
        wanted: ``higher`` and ``lower`` ask for an interval beyond zero. ``not lower`` and ``not higher`` ask for one
            that does not reach further than :data:`MARGIN` to the wrong side; one that lies on it altogether refutes
            them.
        found: on the same draws.
    """
    word, interval = found.word, found.gain.interval
    if wanted in ("higher", "lower"):
        right, wrong = ("better", "worse") if wanted == "higher" else ("worse", "better")
        return True if word == right else False if word == wrong else None
    if interval is None:
        return True if found.gain.count >= LEAST and found.gain.mean == 0 else None
    sign = 1.0 if wanted == "not lower" else -1.0
    low = interval.low if sign > 0 else -interval.high
    if low > -MARGIN:
        return True
    return False if word == ("worse" if sign > 0 else "better") else None


def verdict(found: Sequence[tuple[Check, Comparison | None]]) -> Verdict:
    """What may be said of a claim from its checks.

    All as wanted: it holds, or holds so far while checks are missing. Some as wanted: it holds in part. None as wanted
    and at least one the other way round: it does not hold. Otherwise it cannot be told. Checks without enough runs are
    left out; without any, it was not run yet.
    """
    known = [outcome(check.wanted, comparison) for check, comparison in found if comparison is not None]
    if not known:
        return "not run yet"
    if all(known):
        return "holds" if len(known) == len(found) else "holds so far"
    if any(known):
        return "holds in part"
    return "does not hold" if False in known else "cannot be told"


def judgements() -> list[Judgement]:
    """Every claim, from the rows that ship."""
    return [_judged(claim, _shipped(claim.study).cells) for claim in CLAIMS]


def _judged(claim: Claim, cells: Mapping[str, Cell]) -> Judgement:
    found = tuple((check, _compared(check, cells)) for check in claim.checks)
    return Judgement(claim, found, verdict(found))


def _compared(check: Check, cells: Mapping[str, Cell]) -> Comparison | None:
    one, other = aligned(cells[check.condition].draws, cells[check.control].draws)
    return compare(one, other) if len(one) >= LEAST else None


def _shipped(name: str) -> StudyProgress:
    return _progress(name, tuple(shipped_runs().items()))


@lru_cache(maxsize=8)
def _progress(name: str, rows: tuple[tuple[str, ShippedRun], ...]) -> StudyProgress:
    return progress_of(Study.read(asset("studies", f"{name}.json")), Snapshot("", ()), dict(rows))


# ---- the claims --------------------------------------------------------------------------------

COIN = "COIN, arXiv 2311.18403"
CUDA = "CUDA, arXiv 2303.04278"
DVAE = "D-VAE, arXiv 2405.01460"
STAGED = "Staged training, arXiv 2306.02064"
CLUSTERS = "Unlearnable Clusters, arXiv 2301.01217"
FILTERS, NOISE = ("CUDA", "VUDA", "HUDA"), ("LSP", "EM", "region")
FIXED = ("JPEG 10", "greyscale", "bit depth 2", "SSK + FF", "RSK + FF", "Gaussian blur", "Cutout", "Mixup", "CutMix",
         "UEraser", "orthogonal projection", "adversarial training")  # fmt: skip
VICTIMS = ("ResNet-18, width 8", "Tiny ViT", "MLP-mixer")
SMALL = "fashion, 1,000 images"


def _cell(*places: str) -> str:
    return BETWEEN.join(places)


CLAIMS: tuple[Claim, ...] = (
    Claim(
        CUDA, "A network that was trained on filtered images fails on clean ones.", "fashion",
        tuple(Check(a, _cell(a, "none"), _cell("clean", "none"), "lower") for a in FILTERS),
    ),
    Claim(
        CUDA, "Filters must differ between classes: one for all does less harm.", "fashion",
        (Check("one filter against CUDA", _cell("common kernel", "none"), _cell("CUDA", "none"), "higher"),),
    ),
    Claim(
        CUDA, "It withstands augmentation: less is left than of clean images.", "fashion",
        tuple(Check(d, _cell("CUDA", d), _cell("clean", d), "lower") for d in ("Cutout", "Mixup", "CutMix")),
    ),
    Claim(
        CUDA, "It withstands adversarial training.", "fashion",
        (Check("adversarial training", _cell("CUDA", "adversarial training"), _cell("clean", "adversarial training"),
              "lower"),),
    ),
    Claim(
        CUDA, "It carries over to other networks.", "fashion-victims",
        tuple(Check(v, _cell(v, "CUDA", "none"), _cell(v, "clean", "none"), "lower") for v in VICTIMS),
    ),
    Claim(
        COIN, "COIN gives accuracy back after every attack that filters.", "fashion",
        tuple(Check(a, _cell(a, "COIN"), _cell(a, "none"), "higher") for a in FILTERS),
    ),
    Claim(
        COIN, "After CUDA no other defence gives as much back.", "fashion",
        tuple(Check(d, _cell("CUDA", "COIN"), _cell("CUDA", d), "higher") for d in FIXED),
    ),
    Claim(
        COIN, "It helps other networks too.", "fashion-victims",
        tuple(Check(v, _cell(v, "CUDA", "COIN"), _cell(v, "CUDA", "none"), "higher") for v in VICTIMS),
    ),
    Claim(
        COIN, "Whole-pixel shifts or interpolation alone do less than both.", "fashion-coin-rivals",
        tuple(Check(p, "COIN", p, "higher") for p in ("COIN: whole-pixel shifts only", "COIN: interpolation only")),
    ),
    Claim(
        COIN, "Up to α = 2, more displacement gives more accuracy back after CUDA.", "fashion-strength",
        (Check("α = 1 against 0", _cell("CUDA", "α = 1"), _cell("CUDA", "α = 0"), "higher"),
         Check("α = 2 against 1", _cell("CUDA", "α = 2"), _cell("CUDA", "α = 1"), "higher")),
    ),
    Claim(
        DVAE, "Purification in two stages gives accuracy back after bounded noise.", "dvae",
        tuple(Check(a, _cell(SMALL, a, "D-VAE, two stages"), _cell(SMALL, a, "none"), "higher")
              for a in ("LSP", "EM", "region")),
    ),
    Claim(
        DVAE, "Two stages give more back than one.", "dvae",
        tuple(Check(a, _cell(SMALL, a, "D-VAE, two stages"), _cell(SMALL, a, "D-VAE, x̂"), "higher")
              for a in ("LSP", "EM", "region")),
    ),
    Claim(
        DVAE, "The class vectors are needed: a plain VAE of the same rate does less.", "dvae",
        tuple(Check(a, _cell(SMALL, a, "D-VAE, two stages"), _cell(SMALL, a, "plain VAE"), "higher")
              for a in ("LSP", "EM", "region")),
    ),
    Claim(
        DVAE, "It costs hardly any accuracy on clean images.", "dvae",
        (Check("clean images", _cell(SMALL, "clean", "D-VAE, two stages"), _cell(SMALL, "clean", "none"),
              "not lower"),),
    ),
    Claim(
        STAGED, "It gives accuracy back after optimised and other bounded noise.", "fashion-staged",
        tuple(Check(a, _cell(a, "ST"), _cell(a, "plain"), "higher") for a in NOISE),
    ),
    Claim(
        STAGED, "Colour augmentation makes it stronger (ST-full).", "fashion-staged",
        tuple(Check(a, _cell(a, "ST-full: ST + colours"), _cell(a, "ST"), "higher") for a in NOISE),
    ),
    Claim(
        STAGED, "It costs hardly any accuracy on clean images.", "fashion-staged",
        (Check("clean images", _cell("clean", "ST"), _cell("clean", "plain"), "not lower"),),
    ),
    Claim(
        CLUSTERS, "It needs no labels: the poison works whatever labels the images get.", "uc-protocols",
        tuple(Check(s, _cell("relabelling", s, "UC with Lite0"), _cell("relabelling", s, "clean"), "lower")
              for s in ("10 classes", "5 classes, y mod 5", "5 classes, ⌊5y/10⌋", "2 classes, y mod 2",
                        "2 classes, ⌊2y/10⌋")),
    ),
    Claim(
        CLUSTERS, "It carries over to networks that the attacker did not have.", "uc-protocols",
        tuple(Check(s, _cell("transfer", s, "UC with Lite0"), _cell("transfer", s, "clean"), "lower")
              for s in ("ResNet-18, width 8", "Tiny ViT", "MLP-mixer")),
    ),
    Claim(
        CLUSTERS, "It works where a network learns without labels.", "uc-protocols",
        (Check("SimCLR, linear probe", _cell("SimCLR", "linear probe", "UC with Lite0"),
              _cell("SimCLR", "linear probe", "clean"), "lower"),),
    ),
    Claim(
        CLUSTERS, "Poisoned images among clean ones teach nothing beyond the clean ones.", "uc-protocols",
        tuple(Check(s, _cell("mixing", s, "all images"), _cell("mixing", s, "the clean ones alone"), "not higher")
              for s in ("20 % unlearnable", "50 % unlearnable", "80 % unlearnable")),
    ),
)  # fmt: skip
