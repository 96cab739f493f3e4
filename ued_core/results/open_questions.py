"""What nobody has measured of COIN: stored rows in, one series of conditions a question out.

Everything that a figure or an answer needs (α, p_b, kernel, side, share of poisoned images) is read from the rows'
specs. Each question has a study, which may not have trained everything yet, so any row may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ued_core.attacks import ATTACKS
from ued_core.data.shapes import SIDE
from ued_core.results import phenomenon
from ued_core.results.measured import FOLDER, attack_of, data_title, defences_of, study_command
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow

COIN = "coin"
COIN_PARTS = ("coin_shifts", "coin_interpolation")
UNDEFENDED = "no defence"
CLEAN_PART = "the clean images alone"
USUAL = 2.0
"""COIN's strength for images of 32×32 pixels, in pixels: severity 4 of the official code."""


PHOTOGRAPHS, DRAWN = "photographs", "drawn"
GROUNDS: Mapping[str, str] = MappingProxyType({PHOTOGRAPHS: "Photographs", DRAWN: "Shapes and digits"})
"""What a question is tried on, and how it is called."""


@dataclass(frozen=True)
class Question:
    """One open question.

    Attributes:
        key: its letter, which links name.
        title: one to three words.
        asked: the question, in one sentence.
        text: why it matters and how it was tried.
        study: what trains its conditions on drawn shapes or digits, or on all sets.
        photographs: what trains them on photographs; empty where the other study does or nothing does.
    """

    key: str
    title: str
    asked: str
    text: str
    study: str
    photographs: str = ""

    def on(self, ground: str) -> Question:
        """The question as one of :data:`GROUNDS` answers it; itself where it knows no other."""
        return replace(self, study=self.photographs) if ground == PHOTOGRAPHS and self.photographs else self

    @property
    def grounds(self) -> tuple[str, ...]:
        """The grounds that it has studies for, photographs first; empty where one study does it all."""
        return tuple(GROUNDS) if self.photographs else ()

    @property
    def file(self) -> Path:
        """The study's finished runs as a table; it may be missing."""
        return FOLDER / f"{self.study}.json"

    @property
    def command(self) -> str:
        """What trains the runs that are missing."""
        return study_command(self.study)


_QUESTIONS = (
    Question(
        "b",
        "Clean data",
        "What does COIN cost where nothing was poisoned?",
        "A defender rarely knows whether data was attacked, so the price on clean data is always paid. A network is "
        "trained on clean images with COIN at several strengths α.",
        "coin-clean-cost",
        "fashion-coin-clean-cost",
    ),
    Question(
        "c",
        "Seeds",
        "How far does chance alone move the central result?",
        "Papers print one number for each condition. Here every condition is trained several times; each seed draws "
        "its own images, private key, weights and order.",
        phenomenon.FILE.stem,
    ),
    Question(
        "d",
        "Other warps",
        "Is COIN's design needed, or does any random distortion do?",
        "COIN moves every pixel on its own by whole and fractional steps. Against it stand its two parts alone, and "
        "smooth random warps that move pixels equally far but together with their neighbours.",
        "coin-rivals",
        "fashion-coin-rivals",
    ),
    Question(
        "e",
        "Detect first",
        "If only a part of the images is poisoned, is it better to shake all of them or only those that look filtered?",
        "If shaking has a price, clean images should be spared. The detector flags images whose outermost line of "
        "pixels is darker than "
        "the one inside it, a trace of the attack. Training on the clean images alone, which a perfect detector could "
        "do, is the control.",
        "coin-detect-first",
        "fashion-coin-detect-first",
    ),
    Question(
        "f",
        "Adaptive attackers",
        "Does COIN still help against an attacker who expects it?",
        "Tried are reflection at the image border (which hides the attack from the detector), larger kernels, kernels "
        "chosen so that they stay apart after COIN has blurred them, and, on photographs, optimised noise (EM) whose "
        "steps average over COIN's draws.",
        "coin-adaptive",
        "fashion-coin-adaptive",
    ),
    Question(
        "g",
        "Image size",
        "Does COIN's gain shrink as images grow, and should its strength α grow with them?",
        "Papers report smaller gains on larger images, always with other data as well. Here the same scenes are drawn "
        "at several sizes and nothing else changes.",
        "coin-resolution",
    ),
    Question(
        "h",
        "Best strength",
        "Where does the best strength α lie for other attacks?",
        "p_b is how strongly the attack's kernels blur, k how many pixels wide they are. A defender knows neither.",
        "coin-best-strength",
        "fashion-coin-best-strength",
    ),
)
QUESTIONS: Mapping[str, Question] = MappingProxyType({question.key: question for question in _QUESTIONS})


@dataclass(frozen=True)
class Setting:
    """What a spec says of data, attack and defence.

    Attributes:
        dataset: its key.
        side: of the images, px.
        plan: key of the training plan.
        blur: p_b of the kernels, or None without them.
        kernel_size: k in px, or None.
        padding: ``zero`` or ``reflect``; None without kernels.
        selection: how the kernels were picked; None without kernels.
        assignment: ``class``, or ``common`` for one kernel for all; None without kernels.
        poison_rate: share of the training images that are poisoned; 0 without an attack.
        strength: α of COIN on all images, px; 0 without a defence, None with another one.
        defences: keys, in the order in which they act.
        left_clean: trained on those images alone that the attack did not touch.
        attack: its key; None without one.
        expected: α of the COIN that the attack's noise was made for; 0 of any other attack.
    """

    dataset: str
    side: int
    plan: str
    blur: float | None
    kernel_size: int | None
    padding: str | None
    selection: str | None
    assignment: str | None
    poison_rate: float
    strength: float | None
    defences: tuple[str, ...]
    left_clean: bool = False
    attack: str | None = None
    expected: float = 0.0


def setting(condition: Condition) -> Setting:
    """Read it from the condition's first row."""
    spec = condition.rows[0].spec
    attack = spec["attack"] or {}
    names = defences_of(condition)
    strength = 0.0 if not names else float(spec["defenses"][0]["strength"]) if names == (COIN,) else None
    return Setting(
        spec["dataset"]["name"],
        # Parameters that were declared later are left out of a spec while they have their default.
        spec["dataset"].get("side", SIDE),
        spec["plan"]["name"],
        attack.get("blur"),
        attack.get("kernel_size"),
        attack.get("padding"),
        attack.get("selection", "drawn") if "kernel_size" in attack else None,
        attack.get("assignment"),
        spec.get("poison_rate", 1.0) if attack else 0.0,
        strength,
        names,
        spec.get("train_on", "all") == "clean",
        attack.get("name"),
        attack.get("expected_coin", 0.0),
    )


@dataclass(frozen=True)
class Line:
    """Conditions that differ in COIN's strength alone.

    Attributes:
        name: what they have in common.
        points: (α in px, condition), by rising α; α = 0 is without COIN.
        clean: the same training on clean data without COIN, where it is known.
    """

    name: str
    points: tuple[tuple[float, Condition], ...]
    clean: Condition | None = None

    def at(self, strength: float) -> Condition | None:
        """The condition at one strength, if it was measured."""
        return dict(self.points).get(strength)


@dataclass(frozen=True)
class Group:
    """Conditions that are compared with each other.

    Attributes:
        name: what they have in common.
        conditions: in the order in which they are shown.
        clean: the same training on clean data without a defence, where it is known.
    """

    name: str
    conditions: tuple[Condition, ...]
    clean: Condition | None = None

    def find(self, fits: Callable[[Setting], bool]) -> Condition | None:
        """The first condition whose setting fits."""
        return next((c for c in self.conditions if fits(setting(c))), None)


@dataclass(frozen=True)
class Attacker:
    """One attack without and with COIN, whichever was measured.

    Attributes:
        name: how it differs from the published attack.
        without, defended: its runs.
        published: name of the published attack that it was made from; its own, where it is that.
    """

    name: str
    without: Condition | None
    defended: Condition | None
    published: str


# ---- from rows to conditions -------------------------------------------------------------------


def found(rows: Sequence[ResultRow]) -> list[Condition]:
    """The conditions of a question's table, in stored order."""
    own: dict[str, list[ResultRow]] = {}
    for row in rows:
        own.setdefault(row.condition, []).append(row)
    return [Condition(name, tuple(runs)) for name, runs in own.items()]


def clean_like(condition: Condition, rows: Sequence[ResultRow]) -> Condition | None:
    """Runs without attack and defence, trained on the same data in the same way; None without any.

    Args:
        condition: whose reference is wanted.
        rows: of any tables; a run that stands in several of them counts once.
    """
    recipe = _recipe(condition.rows[0])
    fits = (row for row in rows if not row.spec["attack"] and not row.spec["defenses"] and _recipe(row) == recipe)
    runs = {row.seed: row for row in fits}
    return Condition("clean", tuple(runs[seed] for seed in sorted(runs))) if runs else None


def _recipe(row: ResultRow) -> list[Any]:
    data = {name: value for name, value in row.spec["dataset"].items() if name != "seed"}
    return [data, row.spec["model"], row.spec["plan"]]


def _lines(
    conditions: Sequence[Condition], by: Callable[[Setting], Hashable], named: Callable[[Setting], str]
) -> list[Line]:
    """COIN's strengths of every group of settings; other defences do not belong to a line."""
    groups: dict[Any, dict[float, Condition]] = {}
    names: dict[Any, str] = {}
    for condition in conditions:
        own = setting(condition)
        if own.strength is not None:
            groups.setdefault(by(own), {})[own.strength] = condition
            names[by(own)] = named(own)
    return [Line(names[group], tuple(sorted(points.items()))) for group, points in groups.items()]


# ---- one series a question ---------------------------------------------------------------------


def cost_lines(conditions: Sequence[Condition]) -> list[Line]:
    """(b) Clean data over α, one line per data set."""
    plain = [c for c in conditions if attack_of(c) is None]
    return _lines(plain, lambda s: s.dataset, lambda s: data_title(s.dataset))


def seed_groups(rows: Sequence[ResultRow], plan_titles: Mapping[str, str] = MappingProxyType({})) -> list[Group]:
    """(c) The central experiment, one group a data set and plan.

    Args:
        rows: of :mod:`ued_core.results.phenomenon`.
        plan_titles: what plans are called.
    """
    groups = []
    for dataset, plan in dict.fromkeys((row.dataset, row.plan) for row in rows):
        own = phenomenon.conditions(rows, dataset, plan)
        groups.append(Group(f"{data_title(dataset)}, {plan_titles.get(plan, plan)}", tuple(own)))
    return groups


def rivals(conditions: Sequence[Condition], rows: Sequence[ResultRow]) -> Group | None:
    """(d) No defence, COIN, its parts, other warps; None without rows."""
    if not conditions:
        return None
    place: dict[tuple[str, ...], int] = {(): 0, (COIN,): 1, **{(part,): 2 for part in COIN_PARTS}}
    ordered = sorted(conditions, key=lambda c: place.get(defences_of(c), 3))
    ordered = [c if defences_of(c) else replace(c, name=UNDEFENDED) for c in ordered]
    return Group("", tuple(ordered), clean_like(ordered[0], rows))


def mixtures(conditions: Sequence[Condition], rows: Sequence[ResultRow]) -> list[Group]:
    """(e) No defence, COIN on all images, on the flagged, or the clean images alone; one group a share of poisoned
    images."""
    groups: dict[float, list[Condition]] = {}
    for condition in conditions:
        own = setting(condition)
        words = UNDEFENDED if not own.defences else "COIN on all" if own.strength else "COIN on the flagged"
        groups.setdefault(own.poison_rate, []).append(replace(condition, name=CLEAN_PART if own.left_clean else words))
    return [
        Group(f"{100 * rate:.0f} % of the images poisoned", tuple(own), clean_like(own[0], rows))
        for rate, own in sorted(groups.items())
    ]


def attackers(conditions: Sequence[Condition]) -> list[Attacker]:
    """(f) Every attack without and with COIN at its usual strength, the published ones first."""
    lines = _lines(
        conditions, lambda s: (s.attack, s.kernel_size, s.padding, s.selection, s.blur, s.expected), attacker_words
    )
    own = [(line, setting(line.points[0][1])) for line in lines]
    pairs = [Attacker(line.name, line.at(0.0), line.at(USUAL), published_words(s)) for line, s in own]
    return sorted((p for p in pairs if p.without or p.defended), key=lambda p: p.name != p.published)


PUBLISHED = "as published"


def published_words(own: Setting) -> str:
    """What the published form of an attack is called among attackers."""
    return (
        PUBLISHED if own.kernel_size is not None else f"{ATTACKS[own.attack].title} {PUBLISHED}" if own.attack else ""
    )


def attacker_words(own: Setting) -> str:
    """How an attack's setting differs from the published one for 32×32 images."""
    if own.kernel_size is None:
        title = ATTACKS[own.attack].title if own.attack else ""
        return f"{title} that expects COIN at α = {own.expected:g} px" if own.expected else published_words(own)
    kernels = f"{own.kernel_size}×{own.kernel_size} kernels" if own.kernel_size != 3 else ""
    if own.selection != "drawn":
        kernels = f"{kernels or 'kernels'} chosen {own.selection}"
    border = "reflection at the border" if own.padding == "reflect" else ""
    return ", ".join(filter(None, [kernels, border])) or PUBLISHED


def resolution_lines(conditions: Sequence[Condition], rows: Sequence[ResultRow]) -> list[Line]:
    """(g) The attack over α, one line per side of the images, the smallest first."""
    attacked = [c for c in conditions if attack_of(c) is not None]
    lines = _lines(attacked, lambda s: s.side, lambda s: f"{s.side}×{s.side} px")
    lines.sort(key=lambda line: setting(line.points[0][1]).side)
    return [replace(line, clean=clean_like(line.points[0][1], rows)) for line in lines]


def optimum_lines(conditions: Sequence[Condition], rows: Sequence[ResultRow]) -> tuple[list[Line], list[Line]]:
    """(h) The attack over α: one line per p_b at the smallest kernel, and one line per kernel size at the p_b that most
    of them have."""
    known = [c for c in conditions if setting(c).kernel_size is not None]
    if not known:
        return [], []
    smallest = min(setting(c).kernel_size or 0 for c in known)
    larger = [setting(c).blur for c in known if setting(c).kernel_size != smallest]
    common = max(larger, key=larger.count, default=None)
    by_blur = _lines(
        [c for c in known if setting(c).kernel_size == smallest], lambda s: s.blur, lambda s: f"p_b = {s.blur:g}"
    )
    by_size = _lines(
        [c for c in known if setting(c).blur == common], lambda s: s.kernel_size, lambda s: f"k = {s.kernel_size}"
    )
    by_blur.sort(key=lambda line: setting(line.points[0][1]).blur or 0.0)
    by_size.sort(key=lambda line: setting(line.points[0][1]).kernel_size or 0)
    with_clean = lambda lines: [replace(line, clean=clean_like(line.points[0][1], rows)) for line in lines]  # noqa: E731
    return with_clean(by_blur), with_clean(by_size)
