"""The stack of defences that a page shows."""

from __future__ import annotations

import streamlit as st

from pages.frame.cache import cached
from pages.state.choice import Selection
from pages.widgets.controls import choose, choose_several, method_address, method_controls, parameter_control
from ued_core.catalogue import Catalogue
from ued_core.context import Context
from ued_core.defenses import DEFENSES, Coin, Defense, preview, purify_all
from ued_core.defenses.purified import TrainedDefense
from ued_core.errors import Unavailable
from ued_core.params import Parameter
from ued_core.records import ImageSet
from ued_core.studies.estimate import duration

QUICK: Catalogue[Defense] = Catalogue("defence", [d for d in DEFENSES.values() if not issubclass(d, TrainedDefense)])
"""Those whose work can be seen at once; the others train for minutes."""
PATIENCE_S = 30.0
"""What a page may spend on learning before it shows anything."""
DRAW = Parameter(
    name="draw", label="epoch shown", kind="int", default=0, minimum=0, maximum=9999,
    help="Defences with random draws, such as COIN, draw anew in every epoch of training; this picks whose draws "
         "are shown.",
)  # fmt: skip


def stack_sidebar(*, trained: bool = False) -> tuple[tuple[Defense, ...], int]:
    """Everything about the defences but the first parameter of the first one, in the sidebar.

    Args:
        trained: offer those too that train for minutes; the page calls :func:`whole_set` before it shows their work.

    Returns:
        The stack, whose first defence has its first parameter's default, and the epoch shown.
    """
    offered = DEFENSES if trained else QUICK
    with st.sidebar:
        method = choose(offered, key="defence", label="Defence")
        with st.expander(f"{method.title} parameters"):
            rest = [method_controls(method, key="defence", exclude=_first(method))]
            draw = parameter_control(DRAW, key="draw", default=0)
        further = choose_several(
            offered, key="further", label="Further defences", without=(method.key,),
            help="They act after the first one, in this order. Those that treat images once, before training, come "
                 "before those "
            "that act in every epoch.",
        )  # fmt: skip
        for added in further:
            if added.parameters():
                with st.expander(f"{added.title} parameters"):
                    rest.append(method_controls(added, key="further"))
            else:
                rest.append(added())
    return tuple(rest), draw


def stack_address(stack: tuple[Defense, ...], draw: int) -> dict[str, str]:
    """The address under which every page with :func:`stack_sidebar` shows this stack."""
    main, *further = stack
    address = {**method_address(main, key="defence"), DRAW.name: str(draw)}
    for defense in further:
        address |= method_address(defense, key="further")
    return {**address, "further": ",".join(defense.key for defense in further)}


def main_control(rest: tuple[Defense, ...], *, named: bool = False) -> tuple[Defense, ...]:
    """The first parameter of the first defence, large; returns the stack.

    Args:
        named: say which defence it is, where the page does not begin with it.
    """
    main, *further = rest
    with st.container(border=True):
        if named and (main.parameters() or further):
            st.markdown(
                f"The defence that is tried: **{' + '.join(d.title for d in rest)}**. Others are in the sidebar."
            )
        if not main.parameters():
            st.markdown(f"**{main.title}.** {main.summary()} It has no parameters.")
            return rest
        if not named and not isinstance(main, Coin):
            # The page's first lines are about COIN; a slider called "quality" would be anybody's.
            st.markdown(f"**{main.title}.** {main.summary()}")
        return (method_controls(type(main), key="defence", only=_first(type(main)), values=main.model_dump()), *further)


def _first(method: type[Defense]) -> tuple[str, ...]:
    """Name of the first parameter, if there is one."""
    return tuple(p.name for p in method.parameters()[:1])


def when_drawn(stack: tuple[Defense, ...], draw: int) -> str:
    """Whether what is shown is one draw of many, in words for a caption."""
    if any("augment" in d.acts for d in stack):
        hidden = (
            " What is done to the training itself cannot be seen on images."
            if any("training" in d.acts for d in stack)
            else ""
        )
        return (
            f"These are the draws of one epoch (number {draw}); training draws anew in every epoch, with the same "
            f"code.{hidden}"
        )
    if stack and all(d.acts == {"training"} for d in stack):
        return "These defences leave the images as they are and act on the training itself."
    return "Every image is treated once, before training, with the same code; there are no random draws."


def whole_set(stack: tuple[Defense, ...], choice: Selection) -> ImageSet | None:
    """The poisoned training set, when a defence must see all of it; it has then learned what it needs, or does so
    quickly.

    Raises:
        Unavailable: a defence would learn longer than a page should wait.
    """
    learners = [place for place, defense in enumerate(stack) if defense.needs_whole_set]
    if not learners:
        return None
    whole = choice.trained_on(choice.train)
    for place in learners:
        learner, given = stack[place], _purified(whole, stack[:place])
        if isinstance(learner, TrainedDefense):
            # A preview never trains networks. What comes after this one learns from finished work alone.
            missing = (learner.checkpoint(given) if place == learners[-1] else learner.kept(given)) is None
        else:
            missing = learner.seconds_before(given) > PATIENCE_S
        if missing:
            seconds = _estimate(learner, given)
            raise Unavailable(
                f"{learner.title} first learns from all {len(whole):,} images, which takes about "
                f"{duration(seconds)} here.",
                f"Start a training run with it: the run learns first and keeps it, and this page shows the images "
                f"{_when(learners, place, stack)}.",
            )
    return whole


def _when(learners: list[int], place: int, stack: tuple[Defense, ...]) -> str:
    """From when on a preview has what it needs."""
    return (
        "from its first saved state on"
        if isinstance(stack[place], TrainedDefense) and place == learners[-1]
        else "when it has learned"
    )


def checkpoint_words(stack: tuple[Defense, ...], whole: ImageSet | None) -> str:
    """Which states of trained defences are shown, for a caption; empty without any."""
    if whole is None:
        return ""
    learned = [(place, defense) for place, defense in enumerate(stack) if isinstance(defense, TrainedDefense)]
    return "".join(
        f" {defense.title}: {defense.checkpoint(_purified(whole, stack[:place]))}." for place, defense in learned
    )


@cached(max_entries=16)
def _estimate(learner: Defense, given: ImageSet) -> float:
    return learner.seconds_before(given)


@cached(max_entries=4)
def _purified(whole: ImageSet, stack: tuple[Defense, ...]) -> ImageSet:
    return purify_all(stack, whole, Context())


def defended(images: ImageSet, stack: tuple[Defense, ...], draw: int, whole: ImageSet | None = None) -> ImageSet:
    """What a network would see of the images in one epoch; ``whole`` is that of :func:`whole_set`."""
    return _defended(images, stack, draw, whole, checkpoint_words(stack, whole))


@cached(max_entries=64)
def _defended(
    images: ImageSet, stack: tuple[Defense, ...], draw: int, whole: ImageSet | None, reached: str
) -> ImageSet:
    return preview(stack, images, Context(seed=draw), whole=whole)
