"""What the reader is looking at: data set, attack, private key; the same on every page and in the link."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import streamlit as st

from pages.frame.chips import chip
from pages.frame.guard import plain
from pages.frame.navigation import script
from pages.frame.provenance import figures_are_about
from pages.frame.visitor import who
from pages.state.choice import Selection
from pages.state.crafting import is_ready, look_note, offer_crafting, shipped_look_of
from pages.state.own_data import data_notes
from pages.state.sets import split
from pages.widgets.controls import (
    IMAGES_HELP,
    choose,
    control_key,
    method_address,
    method_controls,
    parameter_control,
    set_control,
    set_method,
    slide,
    value_of,
)
from pages.widgets.path_upload import upload_control
from ued_core.artefacts import STOPPED
from ued_core.attacks import ATTACKS, Attack
from ued_core.attacks.looks import look_card
from ued_core.catalogue import Catalogue
from ued_core.data import DATASETS
from ued_core.data.base import Dataset, Upload
from ued_core.data.handles import is_handle
from ued_core.data.image_file import readable_formats
from ued_core.params import Method, Parameter
from ued_core.runs.spec import RunSpec
from ued_core.studies.estimate import duration

SEED = RunSpec.parameter("attack_seed").model_copy(
    update={
        "name": "seed",
        "label": "private key (seed)",
        "help": "The attacker's secret: the same key draws the same perturbation, also in the official CUDA release.",
    }
)
PICK = Parameter(
    name="pick", label="choice of images", kind="int", default=0, minimum=0, maximum=9999,
    help="Another number picks other images of every class.",
)  # fmt: skip
RATE_KEY = "poison_rate"
RATES = {f"{percent / 100:g}": f"{percent} %" for percent in range(5, 101, 5)}
"""Shares of the training images that can be chosen to be poisoned, and their words; those of the form for new runs."""
ALL = "1"
FIRST, TAKEN = "data_first", "data_first_taken_over"
"""The uploader in the middle of the page, and what it hands to the control under Data."""
DATA_HELP = "Those at the top need no download; below them stand pictures and files of your own."


def selection_chips(
    *,
    attacked: bool = True,
    only: type[Attack] | None = None,
    rates: bool = False,
    opens_with: type[Attack] | None = None,
    looks: bool = False,
) -> Selection:
    """Controls for data, attack and key as chips at the top of the page, and what they chose.

    Args:
        attacked: the page shows what the attack makes of images; it ends here while they still have to be crafted.
        only: the page is about this attack alone; there is no choice of another one.
        rates: offer to poison a share of the images; the page then shows :meth:`Selection.published`.
        opens_with: the attack that is shown as long as nobody chose one, here or on another page; the catalogue's first
            when left out.
        looks: the page can show a few images of a crafted set by themselves; where they ship, it does not end.
    """
    sets = data_sets()
    if taken := st.session_state.pop(TAKEN, None):
        set_control(*taken)
    with chip("Data", _title_of(sets, value_of("data", next(iter(sets))), next(iter(sets)))):
        dataset_class = choose(sets, key="data", label="Data set", help=DATA_HELP)
        # A data set that asks for a text, such as a folder's path, shows nothing before it has one.
        asks = any(p.kind == "text" for p in dataset_class.parameters())
        with st.expander("Your files" if dataset_class.upload else "Data set parameters", expanded=asks):
            if about := dataset_class.about():
                st.caption(about)
            dataset = method_controls(dataset_class, key="data")
        pick = parameter_control(PICK, key="pick", default=PICK.default)
    first = opens_with.key if opens_with is not None else next(iter(ATTACKS))
    with chip("Attack", only.title if only else _title_of(ATTACKS, value_of("attack", first), first)):
        attack_class = only or choose(ATTACKS, key="attack", label="Attack", default=first)
        with st.expander("Attack parameters", expanded=only is not None):
            attack = method_controls(attack_class, key="attack")
        rate = _rate_control() if rates else 1.0
    with chip("Key", str(value_of("key", SEED.default))):
        seed = parameter_control(SEED, key="key", default=SEED.default)
    if dataset.upload is not None and "path" not in dataset.chosen_paths():
        _ask_for(dataset, dataset.upload)
    data = split(dataset)
    data_notes(dataset, data)
    choice = Selection(dataset, attack, seed, pick, data, rate)
    figures_are_about(about_words(choice))
    if not attacked or is_ready(choice):
        return choice
    look = shipped_look_of(choice)
    if looks and look is not None:
        choice = replace(choice, look=look)
        look_note(choice, look)
        return choice
    offer_crafting(choice)
    if look is not None:
        log, count = look.card["log"], len(look.rows)
        early = ", ended early" if STOPPED in log else ""
        st.caption(
            f"Where the images that ship were made, this took {duration(log['cpu_s'])} of processor time{early}."
        )
        st.page_link(
            script("attack/page.py"),
            label=f"Look at {count} of its images on the page Attack →",
            query_params=selection_address(dataset, attack, seed),
        )
    else:
        _offer_other_look(choice)
    st.stop()


def about_words(choice: Selection) -> str:
    """Data, attack and seeds with every parameter, and the content hash of the clean training images."""
    rate = "" if choice.poison_rate == 1 else f", {100 * choice.poison_rate:g} % of the images poisoned"
    return (
        f"Data: {_whole(choice.dataset)}, {len(choice.train):,} training images with content hash "
        f"{choice.train.content_hash}. Attack: {_whole(choice.attack)}, private key {choice.seed}{rate}."
    )


def _whole(method: Method) -> str:
    """A method with all its parameters but for texts, which may be paths."""
    told = [p.valued(getattr(method, p.name)) for p in method.parameters() if p.kind != "text"]
    return f"{method.title} ({', '.join(told)})" if told else method.title


def _title_of(catalogue: Catalogue[Any], name: Any, default: str) -> str:
    """The title behind a name; that of the default where it is none, as in a mistyped link."""
    return catalogue[name if name in catalogue else default].title


def data_sets() -> Catalogue[Dataset]:
    """All data sets, those first that need no download, then those of the reader's own."""
    return Catalogue("data set", sorted(DATASETS.values(), key=lambda d: (not d.embedded, d.upload is None)))


def _ask_for(dataset: Dataset, upload: Upload) -> NoReturn:
    """Ask for the reader's own files in the middle of the page, where nothing else can be shown yet."""
    with st.container(border=True):
        st.markdown(f"**{plain(dataset.title)}.** What you upload stays on the machine that runs this program.")
        given = upload_control(
            upload.words, IMAGES_HELP if upload.zipped else dataset.summary(), FIRST, upload.endings, upload.several
        )
        if upload.zipped:
            st.caption(f"{readable_formats('and')} are read. {IMAGES_HELP}")
        if who().owner:
            st.caption("To name a path on this computer instead, open *Data* at the top of the page.")
    if is_handle(given):
        # The control under Data is drawn already; the next run of the page gives it what was uploaded.
        del st.session_state[FIRST]
        st.session_state[TAKEN] = (control_key("data", type(dataset), "path"), given)
        st.rerun()
    st.stop()


def _offer_other_look(choice: Selection) -> None:
    """Where another configuration of the attack ships, a button that chooses it."""
    card = look_card(choice.attack.key)
    if card is None:
        return
    dataset, attack = DATASETS.parse(card["dataset"]), ATTACKS.parse(card["attack"])
    st.button(
        f"Show {card['shown']} images of {attack.title} that ship (with other settings)",
        on_click=choose_all_poisoned,
        args=(dataset, attack, card["seed"]),
        key="other_look",
        help=f"Chooses {dataset.title} ({card['images']:,} images), the parameters with which they were crafted, "
        f"and the key {card['seed']}.",
    )


def _rate_control() -> float:
    return float(
        slide(
            "Poison rate", RATES, key=RATE_KEY, default=ALL,
            help="The share of the training images that the attack changes; the others are published as they are. The "
                 "key draws which "
            "ones, as in a run with this poison rate.",
        )
    )  # fmt: skip


def choose_all_poisoned(dataset: Dataset, attack: Attack, seed: int) -> None:
    """Choose data, attack and key on the page that is shown, all images poisoned; for callbacks.

    A link would not do: the controls of a page that stays keep what they hold.
    """
    set_method("data", dataset)
    set_method("attack", attack)
    set_control("key", seed)
    set_control(RATE_KEY, ALL)


def selection_address(dataset: Dataset, attack: Attack, seed: int) -> dict[str, str]:
    """The address under which every page shows this data set, attack and key."""
    return {**method_address(dataset, key="data"), **method_address(attack, key="attack"), "key": str(seed)}
