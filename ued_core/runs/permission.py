"""What a visitor may ask for: which data, how large a run, how many of them, and whose runs they may act on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ued_core.errors import NotAllowed
from ued_core.person import Person
from ued_core.runs.limits import Limits

if TYPE_CHECKING:
    from ued_core.data.base import Dataset
    from ued_core.runs.record import RunRecord
    from ued_core.runs.spec import RunSpec


def check_data(dataset: Dataset, by: Person) -> None:
    """Refuse a data set that is not for a visitor.

    Raises:
        NotAllowed: it names a path of the server, would have to be fetched, or is too large.
    """
    if by.owner:
        return
    # Those who only list runs must not wait for torch.
    from ued_core.data.handles import check_paths

    check_paths(dataset, by)
    if dataset.fetches():
        raise NotAllowed(
            f"The files of {dataset.title} are not here, and visitors may not fetch them.",
            "Ask the owner to fetch them.",
        )
    asked, most = dataset.pixels() / 1e6, Limits.read().megapixels
    if asked > most:
        raise NotAllowed(
            f"{dataset.title} with these parameters has {asked:,.0f} million pixels; a visitor's have at most {most} "
            "million.",
            "Ask for fewer or smaller images.",
        )


def check_spec(spec: RunSpec, by: Person) -> None:
    """Refuse a run that is not for a visitor, whichever of its parts asks for too much.

    Raises:
        NotAllowed: a path of the server, too large a data set, or too many epochs.
    """
    if by.owner:
        return
    from ued_core.data.handles import check_paths

    check_data(spec.dataset, by)
    most = Limits.read().epochs
    for method in spec.methods():
        check_paths(method, by)
        for parameter in method.parameters():
            asked = getattr(method, parameter.name)
            if parameter.name.endswith("epochs") and asked > most:
                raise NotAllowed(
                    f"{method.title}: {parameter.name} is {asked}; a visitor's runs have at most {most}.",
                    "Ask for fewer.",
                )


def check_quota(unfinished: Sequence[RunRecord], more: int, by: Person) -> None:
    """Refuse runs that would give a visitor more than their share of the queue.

    Args:
        unfinished: all runs that are queued or running.
        more: how many they want to add.

    Raises:
        NotAllowed: too many; the message says how many they have.
    """
    if by.owner:
        return
    limits = Limits.read()
    own = [record for record in unfinished if record.by == by.id]
    running = min(sum(record.state == "running" for record in own), limits.running)
    waiting, room = len(own) - running, limits.waiting + limits.running - len(own)
    if more > room:
        asked = f"{more} more were asked for" if more > 1 else "one more was asked for"
        raise NotAllowed(
            f"You have {waiting} waiting and {running} running, and {asked}; "
            f"a visitor has at most {limits.waiting} waiting and {limits.running} running.",
            "Wait until one is over, or cancel one.",
        )


def may_act_on(record: RunRecord, by: Person) -> bool:
    """Whether somebody may cancel, resume, delete or stop a run."""
    return by.owner or bool(by.id and record.by == by.id)


def check_own(record: RunRecord, by: Person) -> None:
    """Refuse to act on the run of somebody else.

    Raises:
        NotAllowed: it is neither theirs, nor are they the owner.
    """
    if not may_act_on(record, by):
        raise NotAllowed(
            f"The run {record.id} is not yours, so only the owner of this server can do that.",
            "Start a run of your own.",
        )
