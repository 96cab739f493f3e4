"""What the central table says: what CUDA takes, what of it is blur, what COIN gives back, what models learned."""

from __future__ import annotations

from benchmarks.statements.stored import (
    COIN,
    COMMON,
    CUDA,
    DIGITS,
    FASHION,
    SHAPES,
    Setting,
    between,
    bullets,
    change,
    title,
    told,
)
from ued_core.results.evidence import aligned, compare, over
from ued_core.results.phenomenon import filter_readout
from ued_core.results.words import level

SETTINGS = (
    FASHION,
    SHAPES,
    Setting("shapes with SGD", "shapes", "sgd"),
    DIGITS,
    Setting("digits with SGD", "digits", "sgd"),
)


def words() -> str:
    """Markdown: how to read the table."""
    return bullets([*map(_effect, SETTINGS), _learned(), _readout()])


def _effect(at: Setting) -> str:
    """CUDA, blur alone, COIN and its price in one setting."""
    attacked, common = at.known(CUDA), at.known(COMMON)
    parts = []
    if attacked is not None and attacked.loss is not None:
        parts.append(
            told(attacked.loss, "CUDA takes {}", "CUDA adds {}", "whether CUDA takes anything cannot be told ({})")
        )
    if (own := between(common, attacked)) is not None and attacked is not None and attacked.works:
        parts.append(
            told(
                own,
                "{} more than one kernel for all classes, which is the part that blur does not explain",
                "one kernel for all classes takes {} more",
                "whether that is more than one kernel for all classes takes cannot be told ({})",
            )
        )
    if (defended := at.known(CUDA, [COIN])) is not None and defended.gain is not None:
        gives = "COIN gives back {}", "COIN takes a further {}", "whether COIN gives anything back cannot be told ({})"
        parts.append(told(defended.gain, *gives))
    if (price := at.known(None, [COIN])) is not None and price.gain is not None:
        parts.append(f"on clean images COIN changes the accuracy by {change(price.gain)}")
    return f"{title(at.name)} {'; '.join(parts)}." if parts else ""


def _learned() -> str:
    """Whether models that failed followed the filter alone, by images with another class's kernel."""
    parts = []
    for at in SETTINGS:
        attacked = at.known(CUDA)
        if attacked is None or not attacked.works:
            continue
        right, followed = aligned(*(at.numbers(f"wrong_{what}_rate", CUDA) for what in ("true", "perturbation")))
        if not right:
            continue
        verdict = told(
            compare(right, followed),
            "so they learned more than the filter",
            "so they follow the filter before the picture",
            "and whether they follow the picture or the filter cannot be told",
        )
        ends = f"{level(over(right.values()))} % and the kernel's class in {level(over(followed.values()))} %"
        parts.append(f"on {at.name} they name the true class in {ends}, {verdict}")
    where = "**Clean test images with another class's kernel**, shown to the models that CUDA made fail"
    return f"{where}: {'; '.join(parts)}." if parts else ""


def _readout() -> str:
    """How visible a filter is in each data set."""
    found = filter_readout()
    parts = [f"{100 * own['readout']:.0f} % of {name} ({100 * own['high_power']:.1f} %)" for name, own in found.items()]
    least = min(found, key=lambda name: found[name]["high_power"])
    return (
        f"Filters differ in fine detail, of which {least} have least. A linear model reads the filter off "
        f"{', '.join(parts)}; in brackets the share of the images' power above half the Nyquist frequency "
        "(`python -m benchmarks.filter_readout`)."
    )
