"""What the rows of an open question say, in words that follow the numbers.

Two conditions are compared on the draws that both have, and what their interval cannot decide reads *cannot be told*
(:mod:`ued_core.results.evidence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ued_core.errors import UnknownName
from ued_core.results import open_questions as series
from ued_core.results.evidence import FEW, Summary, gain, judge, like_with_like, minus, over, summed
from ued_core.results.measured import against, defences_of, summary
from ued_core.results.open_questions import COIN, USUAL, Attacker, Group, Line, setting
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow
from ued_core.results.words import level, points
from ued_core.training import PLANS

HARM = 0.02
"""From such a loss on, judged by the mean over the seeds, an attack is said to do harm."""
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


def difference(first: Condition, second: Condition) -> Summary:
    """How much higher the first one's clean test accuracy is, over the draws that both have."""
    return against(first, second).gain


def kind(found: Summary) -> Literal["more", "less", "untold", "unpaired"]:
    """What a difference amounts to: more, less, or cannot be told; unpaired without a common draw."""
    if not found.count:
        return "unpaired"
    match judge(found).word:
        case "better":
            return "more"
        case "worse":
            return "less"
        case _:
            return "untold"


def best(line: Line) -> tuple[float, Condition, tuple[float, ...]] | None:
    """The strength with the highest mean on the draws that all of them have, its condition, and all strengths that
    cannot be told from it; None without COIN's rows.

    Where no draw is common to all, each counts with its own.
    """
    found = [(strength, condition) for strength, condition in line.points if strength > 0]
    if not found:
        return None
    shared = like_with_like(*(condition.rows for _, condition in found))
    means = [over(own.values() if own else c.values("last")).mean for own, (_, c) in zip(shared, found, strict=True)]
    top, condition = found[means.index(max(means))]
    alike = tuple(s for s, c in found if kind(difference(condition, c)) != "more")
    return top, condition, alike


# ---- words -------------------------------------------------------------------------------------


def ends_at(condition: Condition) -> str:
    """``70.0 ± 1.2 %``."""
    return f"{level(summary(condition, 'last'))} %"


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
    caution = ", which is few" if counts[-1] < FEW else ""
    return f"It rests on {runs} {'run' if runs == 1 else 'runs'}, {seeds} for each condition{caution}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ---- one answer a question ---------------------------------------------------------------------


def answer_to(key: str, rows: Sequence[ResultRow], known: Sequence[ResultRow]) -> Answer:
    """What the rows say of one of :data:`ued_core.results.open_questions.QUESTIONS`.

    Args:
        key: of the question.
        rows: of its table.
        known: more rows, of which clean ones serve as references.
    """
    own, every = series.found(rows), [*rows, *known]
    match key:
        case "b":
            return cost_answer(series.cost_lines(own))
        case "c":
            return seeds_answer(series.seed_groups(rows, {name: plan.title for name, plan in PLANS.items()}))
        case "d":
            return rivals_answer(series.rivals(own, every))
        case "e":
            return mixtures_answer(series.mixtures(own, every))
        case "f":
            return attackers_answer(series.attackers(own))
        case "g":
            return resolution_answer(series.resolution_lines(own, every))
        case "h":
            return optimum_answer(*series.optimum_lines(own, every))
        case _:
            raise UnknownName("open question", key, list(series.QUESTIONS))


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
        own = costs[shown] if kind(costs[shown]) != "less" else difference(dict(line.points)[shown], plain)
        text = f"{line.name}: {ends_at(plain)} without COIN. At α = {shown:g} px "
        text += {
            "more": f"COIN costs {points(own, sign=False)}",
            "untold": f"it cannot be told whether COIN costs anything ({points(own, sign=False)})",
            "less": f"COIN adds {points(own, sign=False)}",
        }[kind(costs[shown])]
        most = max(costs, key=lambda s: costs[s].mean)
        dearer = most != shown and costs[most].mean > 0
        details.append(
            text + (f"; the most, {points(costs[most], sign=False)}, at α = {most:g} px." if dearer else ".")
        )
    if not kinds:
        return Answer(NOT_YET, tuple(details), rests_on([c for line in lines for _, c in line.points]))
    judged = f" (judged at α = {listed([f'{s:g}' for s in sorted({s for _, s in kinds.values()})])} px)"
    effects = {
        "more": "COIN costs accuracy on {}",
        "untold": "it cannot be told whether COIN costs accuracy on {}",
        "less": "COIN adds accuracy on {}",
    }
    by = {word: [name for name, (what, _) in kinds.items() if what == word] for word in effects}
    parts = [effects[word].format(listed(names)) for word, names in by.items() if names]
    verdict = f"On clean data {'; '.join(parts)}{judged}."
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
        # Judged by the mean: where one key harms and another does not, the harm is real, however wide its interval.
        if difference(clean, attacked).mean > HARM:
            tried += 1
            back = difference(defended, attacked)
            settled += kind(back) == "more"
            doubt = {"untold": "; whether it is one cannot be told over these seeds", "less": "; it is a loss"}
            details.append(f"{text}. COIN's gain is {points(back)}{doubt.get(kind(back), '')}.")
        else:
            details.append(
                f"{text}, against {ends_at(clean)} on clean ones: the attack does hardly any harm, so there is nothing "
                "to gain."
            )
    conditions = [c for group in groups for c in group.conditions]
    if not details or not spreads:
        return Answer(NOT_YET, tuple(details), rests_on(conditions))
    widest, where = max(spreads)
    words = f"The standard deviation over seeds reaches {100 * widest:.0f} points ({where})"
    share = (
        f"that COIN gives something back can be told in {settled} of {tried} settings where the attack does harm"
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
        return Answer(NOT_YET, (f"COIN: {ends_at(coin)}.",) if coin else (), seeds)
    by = {word: [name for name, (what, _) in compared.items() if what == word] for word in ("more", "untold", "less")}
    if by["more"]:
        verdict = (
            f"COIN's design is not needed here: {listed(by['more'])} {_do(by['more'], 'give')} back more than COIN."
        )
    elif by["untold"]:
        verdict = f"Whether COIN is better than {listed(by['untold'])} cannot be told."
        verdict += f" It beats {_all_of(len(by['less']), 'other')}." if by["less"] else ""
    else:
        verdict = f"COIN's design matters: it gives back more than {_all_of(len(by['less']), 'rival')} tried."
    details = [f"COIN ends at {ends_at(coin)}" + (f", against {ends_at(none)} without a defence." if none else ".")]
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
        details.append(f"{group.name}: " + ", ".join(f"{c.name} {ends_at(c)}" for c in group.conditions) + f"{thrown}.")
        everyone, flagged = (
            group.find(f) for f in (lambda s: bool(s.strength), lambda s: bool(s.defences) and s.strength is None)
        )
        if everyone and flagged and (found := difference(flagged, everyone)).count:
            kinds[group.name] = (kind(found), found)
            if none and "more" not in (kind(difference(c, none)) for c in (everyone, flagged)):
                in_vain.append(group.name)
    seeds = rests_on([c for group in groups for c in group.conditions])
    where = "" if len(in_vain) == len(kinds) else f" with {listed(in_vain)}"
    vain = f" But of neither can it be told that it is better than no defence{where}." if in_vain else ""
    if not kinds:
        return Answer(NOT_YET, tuple(details), seeds)
    words = {
        "more": "shaking only the flagged images is better",
        "less": "shaking all images is better",
        "untold": "it cannot be told which of the two is better",
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
    published = {p.name: p.defended for p in pairs if p.name == p.published}
    details, kinds, gained = [], {}, {}
    for pair in pairs:
        if not pair.defended or not pair.without:
            there = (
                f"{ends_at(pair.without)} without COIN"
                if pair.without
                else f"{ends_at(pair.defended)} with COIN"
                if pair.defended
                else ""
            )
            details.append(f"{_capital(pair.name)}: {there}; the other half is not measured yet.")
            continue
        gained[pair.name] = difference(pair.defended, pair.without)
        by = f" ({points(gained[pair.name])})" if gained[pair.name].count else ""
        details.append(
            f"{_capital(pair.name)}: {ends_at(pair.without)} without COIN, {ends_at(pair.defended)} with it{by}."
        )
        like = published.get(pair.published)
        if like and pair.name != pair.published and (found := difference(pair.defended, like)).count:
            kinds[pair.name] = (kind(found), found)
    if not kinds:
        return Answer(NOT_YET, tuple(details), seeds)
    won = [name for name, (what, _) in kinds.items() if what == "less"]
    untold = [name for name in kinds if kind(gained[name]) == "untold"]
    harmed = [name for name in kinds if kind(gained[name]) == "less"]
    vain = f" Against {listed(untold)} it cannot be told whether COIN gives anything back." if untold else ""
    vain += f" Against {listed(harmed)} COIN harms." if harmed else ""
    if not won:
        words = (
            f"Of none of the {len(kinds)} tried can it be told that less is left after COIN than of the attack as "
            "published."
        )
        return Answer(words + vain, tuple(details), seeds)
    worst = min(kinds, key=lambda name: kinds[name][1].mean)
    most = f"{f'least by {worst}, ' if len(won) > 1 else ''}{points(kinds[worst][1])}"
    verdict = (
        f"It helps less against {len(won)} of {len(kinds)} who adapt: after COIN, less is left by {listed(won)} "
        f"than by the attack as published ({most}).{vain}"
    )
    return Answer(verdict, tuple(details), seeds)


def resolution_answer(lines: Sequence[Line]) -> Answer:
    """(g) Whether COIN's gain shrinks with the side of the images, and whether α should grow."""
    seeds = rests_on([c for line in lines for _, c in line.points])
    details, gains, tops = [], [], []
    for line in lines:
        plain, top = line.at(0.0), best(line)
        if plain and top and (more := minus(*like_with_like(top[1].rows, plain.rows))):
            strength, condition, alike = top
            gains.append(more)
            tops.append((line.name, strength, alike))
            clean = f", {ends_at(line.clean)} on clean data" if line.clean else ""
            details.append(
                f"{line.name}: {ends_at(plain)} without COIN, at best {ends_at(condition)} at α = {strength:g} px "
                f"({points(summed(more))}){clean}."
            )
    if len(gains) < 2:
        return Answer(NOT_YET, tuple(details), seeds)
    small, large = tops[0][0], tops[-1][0]
    change = gain(gains[-1], gains[0])
    sizes = f"from {small} to {large}"
    verdict = {
        "less": f"{_capital(sizes)} COIN's best gain shrinks",
        "more": f"{_capital(sizes)} COIN's best gain grows",
        "untold": f"Whether COIN's best gain changes {sizes} cannot be told",
        "unpaired": f"COIN's best gains {sizes} have no seed in common",
    }[kind(change)]
    verdict += f" ({points(change)})" if change.count else ""
    if set.intersection(*(set(alike) for _, _, alike in tops)):
        verdict += "; whether the best strength moves with the size cannot be told."
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
        beside = f", against {ends_at(plain)} without COIN" if plain else ""
        near = [f"{s:g}" for s in top[2] if s != top[0]]
        also = f" (α = {listed(near)} px cannot be told from it)" if near else ""
        details.append(f"{name}: best at α = {top[0]:g} px with {ends_at(top[1])}{also}{beside}.")
    # A name has a comma of its own.
    helpless = in_vain if len(in_vain) == 1 else [f"({name})" for name in in_vain]
    vain = f" Against {listed(helpless)} it can be told of no strength that it gives anything back." if in_vain else ""
    if len(tops) < 2:
        return Answer(f"{NOT_YET}{vain}", tuple(details), seeds)
    helped = _all_of(len(tops), "attack") + (" that COIN helps against" if in_vain else "")
    shared = sorted(set.intersection(*(set(alike) for _, _, alike in tops.values())))
    if shared:
        strengths = listed([f"{s:g}" for s in shared])
        verdict = f"One strength may do for {helped}: α = {strengths} px can nowhere be told from the best.{vain}"
        return Answer(verdict, tuple(details), seeds)
    lowest, highest = (choose(tops, key=lambda name: tops[name][0]) for choose in (min, max))
    ends = f"from α = {tops[lowest][0]:g} px ({lowest}) to {tops[highest][0]:g} px ({highest})"
    return Answer(f"No single strength suits {helped}: the best goes {ends}.{vain}", tuple(details), seeds)


def _both_names(line: Line) -> str:
    own = setting(line.points[0][1])
    return f"p_b = {own.blur:g}, k = {own.kernel_size}"
