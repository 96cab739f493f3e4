"""What a run trains on, as pictures, before its first epoch is over."""

from __future__ import annotations

from contextlib import suppress

from pages.state.choice import Selection
from pages.state.sets import split
from pages.state.whose import is_open
from pages.widgets.tile_rows import Picture, picture, tile_rows
from ued_core.context import Context
from ued_core.data.cache import is_kept
from ued_core.errors import UedError
from ued_core.records import balanced_rows
from ued_core.runs import RunRecord, RunSpec

MOST_SHOWN = 10


def trained_on_view(record: RunRecord) -> None:
    """One image of each class as the run sees it; nothing where that needs a download, crafting or learning first, or
    where the reader may not see the images."""
    spec = record.run_spec
    if spec is None or not is_open(record.spec) or not (spec.dataset.embedded or is_kept(spec.dataset)):
        return
    if spec.attack is not None and (spec.attack.needs_whole_set or spec.poison_rate < 1 or spec.poison_classes):
        return
    # What cannot be shown is left out: the run itself says what is wrong with it.
    with suppress(UedError):
        _rows(spec)


def _rows(spec: RunSpec) -> None:
    data = split(spec.dataset)
    rows = balanced_rows(data.train.labels, 1, 0)[:MOST_SHOWN]
    last = images = data.train.take(rows)
    drawn: list[tuple[str, str, Picture]] = [("clean", "", picture(images.images))]
    if spec.attack is not None:
        choice = Selection(spec.dataset, spec.attack, spec.attack_seed, 0, data)
        last = choice.trained_on(images)
        drawn.append(("poisoned", spec.attack.named(), picture(last.images)))
    if spec.defenses and not spec.defenses.needs_whole_set and spec.defenses.acts != {"training"}:
        after = spec.defenses.preview(last, Context(seed=spec.seed))
        drawn.append(("defended", " → ".join(d.named(lead=True) for d in spec.defenses), picture(after.images)))
    tile_rows(
        drawn,
        alt="One image of each class, as this run sees them.",
        names=tuple(data.train.class_names[label] for label in images.labels.tolist()),
        caption="What this run trains on: the last row. Its curves begin when the first epoch is over.",
    )
