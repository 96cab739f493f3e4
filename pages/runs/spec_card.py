"""A spec as a thing to look at: what another page handed over, and JSON in and out."""

from __future__ import annotations

import streamlit as st

from pages.frame.guard import plain, show_error
from pages.frame.hidden import seen
from pages.frame.visitor import who
from pages.runs.form import cannot_edit, fill_form, start
from pages.state.known_words import known_caption
from pages.state.run_address import HANDED, HANDED_FROM, discard_handed, hand_over
from pages.state.run_cost import run_cost
from pages.state.run_words import method_words
from ued_core import runs
from ued_core.class_numbers import write_classes
from ued_core.defenses import Defense
from ued_core.errors import SpecError, UedError
from ued_core.params import Method
from ued_core.runs import RunSpec
from ued_core.runs.permission import check_spec
from ued_core.runs.spec import read_json

MOST_BYTES = 1_000_000


def handed_card() -> None:
    """What another page wants to have trained; nothing when there is none."""
    value = st.session_state.get(HANDED)
    if value is None:
        return
    origin = st.session_state.get(HANDED_FROM, "another page")
    with st.container(border=True, key="handed_over"):
        st.subheader(f"Handed over from {plain(origin)}")
        try:
            spec = _allowed(RunSpec.from_json(value))
        except UedError as error:
            show_error(error)
            st.button("Discard", key="handed_discard", on_click=discard_handed)
            return
        st.markdown(f"**{plain(spec.title())}**")
        st.markdown(spec_lines(spec))
        known_caption(spec)
        run_cost(spec, runs.snapshot().records)
        obstacle = cannot_edit(spec)
        with st.container(horizontal=True):
            if st.button("Start", type="primary", key="handed_start"):
                discard_handed()
                start([spec])
            st.button(
                "Edit in form",
                key="handed_edit",
                on_click=_edit,
                args=(spec,),
                disabled=bool(obstacle),
                help=obstacle or None,
            )
            st.button("Discard", key="handed_discard", on_click=discard_handed)


def _edit(spec: RunSpec) -> None:
    discard_handed()
    fill_form(spec)


def spec_lines(spec: RunSpec) -> str:
    """The spec's choices in a few lines of Markdown; parameters at their defaults are left out."""
    lines = []
    for label, methods in (
        ("Data", [spec.dataset]),
        ("Attack", [spec.attack]),
        ("Defence", spec.defenses),
        ("Model", [spec.model]),
        ("Plan", [spec.plan]),
    ):
        words = " → ".join(plain(_words(method)) for method in methods if method is not None) or "none"
        if label == "Attack" and spec.attack:
            some = "" if spec.poison_classes is None else f" of the classes {write_classes(spec.poison_classes)} alone"
            words += f", {100 * spec.poison_rate:g} % of the training images{some}, private key {spec.attack_seed}"
            words += "; trained on the clean ones alone" if spec.train_on == "clean" else ""
        lines.append(f"- {label}: {words}")
    if spec.relabel is not None:
        lines.append(f"- Labels: {plain(method_words(spec.relabel))}")
    return "\n".join(
        [
            *lines,
            f"- Seed {spec.seed}, device {spec.device}" + (f", note: {plain(seen(spec.note))}" if spec.note else ""),
        ]
    )


def _words(method: Method) -> str:
    """A method with what is not at its default; a defence with its strength in any case."""
    words = method_words(method)
    return method.named(lead=True) if isinstance(method, Defense) and words == method.title else words


def json_part() -> None:
    """Read a spec from JSON; it then appears as handed over."""
    with st.expander("Read a spec from JSON"):
        st.caption("Paste a spec or upload a spec.json; it is checked and then shown above, to be started or edited. "
                   "Only the data set is required; everything else has a default.")  # fmt: skip
        text = st.text_area(
            "Spec",
            key="spec_text",
            height=160,
            placeholder='{"dataset": "fashion", "attack": "cuda", "defenses": ["coin"]}',
        )
        upload = st.file_uploader("or a file", type="json", key="spec_file")
        if st.button("Check the spec", key="spec_check"):
            try:
                spec = read_spec(upload.getvalue() if upload is not None and not text.strip() else text.encode())
            except UedError as error:
                show_error(error)
            else:
                hand_over(spec.to_json(), "your JSON")
                st.rerun()


def read_spec(content: bytes) -> RunSpec:
    """A spec from the text of a file.

    Raises:
        UedError: it is no JSON, or no spec; the message says where and what to do.
    """
    if not content.strip():
        raise SpecError("There is no spec to check.", "Paste one, or upload a spec.json.")
    if len(content) > MOST_BYTES:
        raise SpecError(
            f"This file has {len(content):,} bytes; a spec has a few hundred.", "Upload the spec.json of a run."
        )
    return _allowed(RunSpec.from_json(read_json(content, "This")))


def _allowed(spec: RunSpec) -> RunSpec:
    """A spec that the reader may start, its paths absolute. Whoever may name no path is not told how to write one."""
    check_spec(spec, who())
    return spec.located(None)
