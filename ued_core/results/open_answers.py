"""What the rows of an open question say, in words that follow the numbers.

Two conditions are compared seed by seed: both runs of a pair share images, private key, weights and order. A difference
is called clear when it exceeds twice its sample standard deviation over the seeds. With one seed there is no spread;
then, as a first impression only, :data:`NOTICEABLE` takes its place. Both are conventions of this program and no tests
of significance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ued_core.results.evidence import PerSeed, Summary, gain, minus, over
from ued_core.results.measured import defences_of, summary
from ued_core.results.open_questions import COIN, PUBLISHED, USUAL, Attacker, Group, Line, setting
from ued_core.results.phenomenon import Condition

NOTICEABLE = 0.02
RULE = (
    "A difference counts when it is larger than twice its standard deviation over the seeds (both runs of a pair "
    "share images, "
    f"private key, weights and order); with one seed, when it is larger than {100 * NOTICEABLE:.0f} points, as a "
    "first impression only."
)
NOT_YET = "Not measured yet."


@dataclass(frozen=True)
class Answer:
    """What is known so far.

    Attributes:
        verdict: one sentence; :data:`NOT_YET` while the rows for it are missing.
        details: further sentences, each with its numbers.
        seeds: how many seeds it rests on; empty without rows.
    """

    verdict: str
    details: tuple[str, ...] = ()
    seeds: str = ""


# ---- comparing ---------------------------------------------------------------------------------


def per_seed(condition: Condition) -> PerSeed:
    """Clean test accuracy after the last epoch, 0..1, by seed."""
    return {row.seed: value for row, value in zip(condition.rows, condition.values("last").tolist(), strict=True)}


def difference(first: Condition, second: Condition) -> Summary:
    """How much higher the first one's accuracy is, over the seeds that both have."""
    return gain(per_seed(first), per_seed(second))


def kind(found: Summary) -> Literal["more", "less", "alike", "unknown"]:
    """What a difference amounts to, by the module's rule."""
    if not found.count:
        return "unknown"
    bound = 2 * found.spread if found.count > 1 else NOTICEABLE
    # Equal runs must stay alike whatever the last digit of their difference.
    return "alike" if abs(found.mean) <= bound + 1e-9 else "more" if found.mean > 0 else "less"


def best(line: Line) -> tuple[float, Condition, tuple[float, ...]] | None:
    """The strength with the highest mean, its condition, and all strengths that are no clearly worse; None without
    COIN's rows."""
    points = [(strength, condition) for strength, condition in line.points if strength > 0]
    if not points:
        return None
    top, condition = max(points, key=lambda p: summary(p[1], "last").mean)
    alike = tuple(s for s, c in points if kind(difference(condition, c)) != "more")
    return top, condition, alike


# ---- words -------------------------------------------------------------------------------------


def level(condition: Condition) -> str:
    """``70.0 ± 1.2 %``."""
    return f"{_spread(summary(condition, 'last'))} %"


def points(found: Summary, sign: bool = True) -> str:
    """``+54.0 ± 2.1 points``."""
    plus = "+" if sign and found.mean > 0 else ""
    return f"{plus}{_spread(found)} points"


def _spread(found: Summary) -> str:
    around = f" ± {100 * found.spread:.1f}" if found.count > 1 else ""
    # A real minus sign, and no negative zero.
    return f"{round(100 * found.mean, 1) + 0.0:.1f}{around}".replace("-", "−")


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""


def rests_on(conditions: Sequence[Condition]) -> str:
    """How many seeds the conditions have; empty without any."""
    counts = sorted({len(c.rows) for c in conditions})
    if not counts:
        return ""
    runs = sum(len(c.rows) for c in conditions)
    seeds = (
        f"{counts[0]} to {counts[-1]} seeds"
        if len(counts) > 1
        else "one seed"
        if counts[0] == 1
        else f"{counts[0]} seeds"
    )
    caution = {1: ", so this is a first impression", 2: ", too few to know the spread well"}.get(counts[-1], "")
    return f"It rests on {runs} {'run' if runs == 1 else 'runs'}, {seeds} for each condition{caution}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ---- one answer a question ---------------------------------------------------------------------


def cost_answer(lines: Sequence[Line]) -> Answer:
    """(b) What COIN costs on clean data."""
    details, kinds = [], {}
    for line in lines:
        plain = line.at(0.0)
        costs = {s: difference(plain, c) for s, c in line.points if s > 0} if plain else {}
        costs = {s: cost for s, cost in costs.items() if cost.count}
        if not plain or not costs:
            details.append(f"{line.name}: not measured {'without' if not plain else 'with'} COIN yet.")
            continue
        # The usual strength decides; where it was not trained yet, the nearest one does.
        shown = min(costs, key=lambda s: abs(s - USUAL))
        kinds[line.name] = (kind(costs[shown]), shown)
        words = {"more": "costs", "alike": "costs no clear amount:", "less": "adds"}[kind(costs[shown])]
        own = costs[shown] if kind(costs[shown]) != "less" else difference(dict(line.points)[shown], plain)
        text = f"{line.name}: {level(plain)} without COIN. At α = {shown:g} px COIN {words} {points(own, sign=False)}"
        most = max(costs, key=lambda s: costs[s].mean)
        dearer = most != shown and costs[most].mean > 0
        details.append(
            text + (f"; the most, {points(costs[most], sign=False)}, at α = {most:g} px." if dearer else ".")
        )
    if not kinds:
        return Answer(NOT_YET, tuple(details), rests_on([c for line in lines for _, c in line.points]))
    judged = f" (judged at α = {listed([f'{s:g}' for s in sorted({s for _, s in kinds.values()})])} px)"
    effects = {"more": "costs accuracy", "alike": "costs no clear amount of accuracy", "less": "adds accuracy"}
    by = {word: [name for name, (what, _) in kinds.items() if what == word] for word in effects}
    parts = [f"{effects[word]} on {listed(names)}" for word, names in by.items() if names]
    verdict = f"{'It depends: on' if len(parts) > 1 else 'On'} clean data COIN {'; it '.join(parts)}{judged}."
    return Answer(verdict, tuple(details), rests_on([c for line in lines for _, c in line.points]))


def seeds_answer(groups: Sequence[Group]) -> Answer:
    """(c) How far seeds spread the central result."""
    details, settled, tried = [], 0, 0
    spreads: list[tuple[float, str]] = []
    for group in groups:
        spreads += [
            (summary(c, "last").spread, f"{c.name} on {group.name}") for c in group.conditions if len(c.rows) > 1
        ]
        clean = group.find(lambda s: not s.poison_rate and not s.defences)
        attacked = group.find(lambda s: s.assignment == "class" and not s.defences)
        defended = group.find(lambda s: s.assignment == "class" and bool(s.strength))
        if not clean or not attacked or not defended:
            continue
        ends = attacked.values("last")
        text = (
            f"{group.name}: trained on attacked images, seeds end between {100 * ends.min():.1f} and "
            f"{100 * ends.max():.1f} %"
        )
        # Judged by the mean: where one key harms and another does not, the harm is real but not clear.
        if difference(clean, attacked).mean > NOTICEABLE:
            tried += 1
            gain = difference(defended, attacked)
            sure = kind(gain) == "more"
            settled += sure
            details.append(
                f"{text}. COIN's gain is {points(gain)}: {'clear' if sure else 'not clear over these seeds'}."
            )
        else:
            details.append(
                f"{text}, against {level(clean)} on clean ones: the attack does hardly any harm, so there is nothing "
                "to gain."
            )
    conditions = [c for group in groups for c in group.conditions]
    if not details or not spreads:
        return Answer(NOT_YET, tuple(details), rests_on(conditions))
    widest, where = max(spreads)
    words = f"The standard deviation over seeds reaches {100 * widest:.0f} points ({where})"
    share = (
        f"COIN's gain is clear in {settled} of {tried} settings where the attack does harm"
        if tried
        else "the attack harms nowhere"
    )
    return Answer(f"{words}; {share}.", tuple(details), rests_on(conditions))


def rivals_answer(group: Group | None) -> Answer:
    """(d) Whether COIN's parts or other warps do as well."""
    if group is None:
        return Answer(NOT_YET)
    seeds = rests_on(group.conditions)
    coin, none = group.find(lambda s: s.defences == (COIN,)), group.find(lambda s: not s.defences)
    others = [c for c in group.conditions if c is not none and defences_of(c) != (COIN,)]
    compared = {_rival(c.name): (kind(found), found) for c in others if coin and (found := difference(c, coin)).count}
    if coin is None or not compared:
        return Answer(NOT_YET, (f"COIN: {level(coin)}.",) if coin else (), seeds)
    by = {word: [name for name, (what, _) in compared.items() if what == word] for word in ("more", "alike", "less")}
    if by["more"]:
        verdict = (
            f"COIN's design is not needed here: {listed(by['more'])} {_do(by['more'], 'give')} back more than COIN."
        )
    elif by["alike"]:
        verdict = f"COIN is not clearly better than {listed(by['alike'])}."
        verdict += f" It beats {_all_of(len(by['less']), 'other')}." if by["less"] else ""
    else:
        verdict = f"COIN's design matters: it gives back more than {_all_of(len(by['less']), 'rival')} tried."
    details = [f"COIN ends at {level(coin)}" + (f", against {level(none)} without a defence." if none else ".")]
    ranked = sorted(compared.items(), key=lambda item: -item[1][1].mean)
    details.append("Against COIN: " + "; ".join(f"{name} {points(found)}" for name, (_, found) in ranked) + ".")
    return Answer(verdict, tuple(details), seeds)


def _rival(title: str) -> str:
    """The title of a defence inside a sentence about COIN, whose parts are named after it."""
    short = title.replace("COIN: ", "its own ").replace(" only", " alone") if title.startswith("COIN: ") else title
    return short[:1].lower() + short[1:] if short[1:2].islower() else short


def _do(names: Sequence[str], verb: str) -> str:
    return verb if len(names) > 1 else f"{verb}s"


def _all_of(count: int, noun: str) -> str:
    return f"the one {noun}" if count == 1 else f"both {noun}s" if count == 2 else f"all {count} {noun}s"


def mixtures_answer(groups: Sequence[Group]) -> Answer:
    """(e) Whether COIN on the flagged images alone is better than on all."""
    details, kinds, in_vain = [], {}, []
    for group in groups:
        none = group.find(lambda s: not s.defences and not s.left_clean)
        alone = group.find(lambda s: s.left_clean)
        gap = difference(alone, none) if alone and none else None
        thrown = f"; throwing the others away: {points(gap)} against no defence" if gap and gap.count else ""
        details.append(f"{group.name}: " + ", ".join(f"{c.name} {level(c)}" for c in group.conditions) + f"{thrown}.")
        everyone, flagged = (
            group.find(f) for f in (lambda s: bool(s.strength), lambda s: bool(s.defences) and s.strength is None)
        )
        if everyone and flagged and (found := difference(flagged, everyone)).count:
            kinds[group.name] = (kind(found), found)
            if none and "more" not in (kind(difference(c, none)) for c in (everyone, flagged)):
                in_vain.append(group.name)
    seeds = rests_on([c for group in groups for c in group.conditions])
    where = "" if len(in_vain) == len(kinds) else f" with {listed(in_vain)}"
    vain = f" But neither is clearly better than no defence{where}." if in_vain else ""
    if not kinds:
        return Answer(NOT_YET, tuple(details), seeds)
    words = {
        "more": "shaking only the flagged images is better",
        "less": "shaking all images is better",
        "alike": "no clear difference",
    }
    if len({what for what, _ in kinds.values()}) == 1:
        what = next(iter(kinds.values()))[0]
        numbers = "; ".join(f"{points(found)} with {name}" for name, (_, found) in kinds.items())
        return Answer(f"{_capital(words[what])} (flagged against all: {numbers}).{vain}", tuple(details), seeds)
    parts = [f"with {name}, {words[what]} ({points(found)})" for name, (what, found) in kinds.items()]
    return Answer(f"It depends on the share: {'; '.join(parts)}.{vain}", tuple(details), seeds)


def attackers_answer(pairs: Sequence[Attacker]) -> Answer:
    """(f) Whether an attacker who knows COIN leaves less after it."""
    seeds = rests_on([c for pair in pairs for c in (pair.without, pair.defended) if c])
    published = next((p.defended for p in pairs if p.name == PUBLISHED), None)
    details, kinds, gained = [], {}, {}
    for pair in pairs:
        if not pair.defended or not pair.without:
            there = (
                f"{level(pair.without)} without COIN"
                if pair.without
                else f"{level(pair.defended)} with COIN"
                if pair.defended
                else ""
            )
            details.append(f"{_capital(pair.name)}: {there}; the other half is not measured yet.")
            continue
        gained[pair.name] = difference(pair.defended, pair.without)
        by = f" ({points(gained[pair.name])})" if gained[pair.name].count else ""
        details.append(
            f"{_capital(pair.name)}: {level(pair.without)} without COIN, {level(pair.defended)} with it{by}."
        )
        if published and pair.name != PUBLISHED and (found := difference(pair.defended, published)).count:
            kinds[pair.name] = (kind(found), found)
    if not kinds:
        return Answer(NOT_YET, tuple(details), seeds)
    gain = [name for name, (what, _) in kinds.items() if what == "less"]
    helpless = [name for name in kinds if kind(gained[name]) in ("alike", "less")]
    vain = f" Against {listed(helpless)} COIN gives nothing clear back." if helpless else ""
    if not gain:
        words = (
            f"Against none of the {len(kinds)} tried is clearly less left after COIN than against the attack as "
            "published."
        )
        return Answer(words + vain, tuple(details), seeds)
    worst = min(kinds, key=lambda name: kinds[name][1].mean)
    most = f"{f'least by {worst}, ' if len(gain) > 1 else ''}{points(kinds[worst][1])}"
    verdict = (
        f"It helps less against {len(gain)} of {len(kinds)} who adapt: after COIN, less is left by {listed(gain)} "
        f"than by the attack as published ({most}).{vain}"
    )
    return Answer(verdict, tuple(details), seeds)


def resolution_answer(lines: Sequence[Line]) -> Answer:
    """(g) Whether COIN's gain shrinks with the side of the images, and whether α should grow."""
    seeds = rests_on([c for line in lines for _, c in line.points])
    details, gains, tops = [], [], []
    for line in lines:
        plain, top = line.at(0.0), best(line)
        if plain and top and (more := minus(per_seed(top[1]), per_seed(plain))):
            strength, condition, alike = top
            gains.append(more)
            tops.append((line.name, strength, alike))
            clean = f", {level(line.clean)} on clean data" if line.clean else ""
            details.append(
                f"{line.name}: {level(plain)} without COIN, at best {level(condition)} at α = {strength:g} px "
                f"({points(over(more.values()))}){clean}."
            )
    if len(gains) < 2:
        return Answer(NOT_YET, tuple(details), seeds)
    small, large = tops[0][0], tops[-1][0]
    change = gain(gains[-1], gains[0])
    moved = {"less": "shrinks", "more": "grows", "alike": "does not clearly change", "unknown": "cannot be compared"}[
        kind(change)
    ]
    verdict = f"From {small} to {large} COIN's best gain {moved}"
    verdict += f" ({points(change)})" if change.count else ""
    if set.intersection(*(set(alike) for _, _, alike in tops)):
        verdict += "; the best strength does not clearly move with the size."
    else:
        where = ", ".join(f"{strength:g} px at {name}" for name, strength, _ in tops)
        verdict += f"; the best strength is {where}."
    return Answer(verdict, tuple(details), seeds)


def optimum_answer(by_blur: Sequence[Line], by_size: Sequence[Line]) -> Answer:
    """(h) Whether one strength suits every p_b and kernel size."""
    # The same attack stands in both rows of lines and counts once.
    lines = {_both_names(line): line for line in [*by_blur, *by_size]}
    seeds = rests_on([c for line in lines.values() for _, c in line.points])
    details, tops, in_vain = [], {}, []
    for name, line in lines.items():
        top = best(line)
        if top is None or sum(s > 0 for s, _ in line.points) < 2:
            continue
        plain = line.at(0.0)
        if plain and not any(kind(difference(c, plain)) == "more" for s, c in line.points if s > 0):
            in_vain.append(name)
        else:
            tops[name] = top
        against = f", against {level(plain)} without COIN" if plain else ""
        near = [f"{s:g}" for s in top[2] if s != top[0]]
        also = f" (α = {listed(near)} px not clearly worse)" if near else ""
        details.append(f"{name}: best at α = {top[0]:g} px with {level(top[1])}{also}{against}.")
    # A name has a comma of its own.
    helpless = in_vain if len(in_vain) == 1 else [f"({name})" for name in in_vain]
    vain = f" Against {listed(helpless)} no strength gives anything clear back." if in_vain else ""
    if len(tops) < 2:
        return Answer(f"{NOT_YET}{vain}", tuple(details), seeds)
    helped = _all_of(len(tops), "attack") + (" that COIN helps against" if in_vain else "")
    shared = sorted(set.intersection(*(set(alike) for _, _, alike in tops.values())))
    if shared:
        strengths = listed([f"{s:g}" for s in shared])
        verdict = (
            f"One strength can do for {helped}: α = {strengths} px {'is' if len(shared) == 1 else 'are'} "
            "nowhere clearly worse than "
        )
        verdict += f"the best.{vain}"
        return Answer(verdict, tuple(details), seeds)
    lowest, highest = (choose(tops, key=lambda name: tops[name][0]) for choose in (min, max))
    ends = f"from α = {tops[lowest][0]:g} px ({lowest}) to {tops[highest][0]:g} px ({highest})"
    return Answer(f"No single strength suits {helped}: the best goes {ends}.{vain}", tuple(details), seeds)


def _both_names(line: Line) -> str:
    own = setting(line.points[0][1])
    return f"p_b = {own.blur:g}, k = {own.kernel_size}"
