"""The form for new runs; every control follows a declaration."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypeVar

import streamlit as st

from pages.frame.guard import plain, show_error
from pages.frame.hidden import seen
from pages.frame.visitor import who
from pages.state.known_words import known_caption
from pages.state.own_data import few_tests
from pages.state.run_address import open_run, open_view
from pages.state.run_cost import run_cost
from pages.state.run_words import short_id
from pages.state.selection import DATA_HELP, data_sets
from pages.state.sets import split
from pages.state.staged_expectation import staged_expectation
from pages.state.whose import obstacle_for
from pages.widgets.controls import choose, control_key, method_controls, set_control
from ued_core import runs
from ued_core.attacks import ATTACKS, Attack
from ued_core.catalogue import Catalogue
from ued_core.class_numbers import read_classes
from ued_core.data import Dataset
from ued_core.data.base import NOT_CLEAN, Upload
from ued_core.data.relabel import RELABELLINGS, Relabelling
from ued_core.defenses import DEFENSES, DefenseStack
from ued_core.errors import SpecError, UedError
from ued_core.models import MODELS, Model
from ued_core.params import Method, param, redeclared
from ued_core.runs.spec import Device, RunSpec, TrainOn
from ued_core.training import PLANS, Plan

M = TypeVar("M", bound=Method)
DEFENCES_KEY = "new_defences"


class NoAttack(Method):
    """Trains on the images as they are: the reference for every attack."""

    key: ClassVar[str] = "none"
    title: ClassVar[str] = "None: clean images"


class FormPart(Method):
    """Controls of some fields of a run spec, each declared as the spec declares it."""

    def choices(self) -> dict[str, Any]:
        """The fields of a run spec that these are."""
        known = {p.name: p for p in RunSpec.parameters()}
        return {
            name: known[name].read(value) if known[name].kind == "classes" else value
            for name, value in self.model_dump().items()
            if name in known
        }

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """The controls that show a spec."""
        own = {p.name for p in cls.parameters()}
        return cls(
            **{
                p.name: p.write(value) if p.kind == "classes" else value
                for p in RunSpec.parameters()
                if p.name in own
                for value in [getattr(spec, p.name)]
            }
        )


class Poisoning(FormPart):
    """How an attack is applied."""

    key: ClassVar[str] = "poisoning"
    title: ClassVar[str] = "Poisoning"

    poison_rate: float = redeclared(RunSpec.parameter("poison_rate"))
    # A control for text; read and written as class numbers.
    poison_classes: str = redeclared(RunSpec.parameter("poison_classes"), default="")
    attack_seed: int = redeclared(RunSpec.parameter("attack_seed"))

    def model_post_init(self, _context: object) -> None:
        read_classes(self.poison_classes)


class TrainerPart(FormPart):
    """What the trainer does with the published images."""

    # The key is a part of links.
    key: ClassVar[str] = "hacker"
    title: ClassVar[str] = "Labels and images of the hacker"

    train_on: TrainOn = redeclared(RunSpec.parameter("train_on"))
    labels: Literal["given", "modulo", "blocks"] = param(
        "given",
        f"{RunSpec.model_fields['relabel'].description} given: the data set's own. modulo: y mod n. blocks: "
        "neighbours.",
    )
    classes: int = redeclared(
        Relabelling.parameters()[0],
        help="How many classes the hacker's labels have; only for modulo and blocks.",
        label="merged classes",
    )

    def choices(self) -> dict[str, Any]:
        relabel = None if self.labels == "given" else RELABELLINGS.build(self.labels, classes=self.classes)
        return {**super().choices(), "relabel": relabel}

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        merged: dict[str, Any] = {"labels": spec.relabel.key, "classes": spec.relabel.classes} if spec.relabel else {}
        return super().of(spec).with_values(**merged)


class Repetition(FormPart):
    """How often a run is repeated, and where it runs."""

    key: ClassVar[str] = "repetition"
    title: ClassVar[str] = "Repetition"

    seed: int = redeclared(RunSpec.parameter("seed"))
    seeds: int = param(
        1,
        "Runs that differ in their seed only: seed, seed + 1, … Three or more show the spread.",
        label="number of seeds",
        ge=1,
        le=10,
    )
    device: Device = redeclared(RunSpec.parameter("device"))
    note: str = redeclared(RunSpec.parameter("note"))


# Clean training is one more choice in the same list.
ATTACK_CHOICES: Catalogue[Any] = Catalogue("attack", [*ATTACKS.values(), NoAttack])


def run_form() -> None:
    """Draw the form, and start what it says."""
    # What the controls below add up to stands above them, so that the defaults are one click away.
    summary = st.container()
    st.caption("Choose data, attack and defence. Everything else may stay as it is.")
    left, right = st.columns(2, gap="medium")
    with left:
        dataset = _data_part()
    with right:
        attack, poisoning, trainer = _attack_part()
        defences = _defence_part()
    with st.expander("**Model, training plan and repetition**: may stay as they are; the plan suits the data"):
        left, right = st.columns(2, gap="medium")
        with left:
            model = _part("Model", MODELS, "new_model", "What is trained.")
            plan = _plan_part(dataset, model)
        with right, st.container(border=True):
            st.subheader("Repetition")
            st.caption("Three seeds show how much the result spreads.")
            repetition = method_controls(Repetition, key="new")
    if dataset is None:
        summary.info("Give your images below; the run can start once they can be used.")
        return
    try:
        spec = RunSpec(
            dataset=dataset,
            attack=attack,
            defenses=defences,
            model=model,
            plan=plan,
            **poisoning.choices(),
            **trainer.choices(),
            **repetition.choices(),
        )
    except SpecError as error:
        with summary:
            show_error(error)
        return
    with summary:
        _start_part(seeded(spec, repetition.seeds))


def seeded(spec: RunSpec, count: int) -> list[RunSpec]:
    """The spec with ``count`` consecutive seeds, its own first."""
    return [spec.with_values(seed=spec.seed + offset) for offset in range(count)]


def _data_part() -> Dataset | None:
    with st.container(border=True):
        st.subheader("Data")
        chosen = choose(data_sets(), key="new_data", label="Data set", help=DATA_HELP)
        st.caption(f"{chosen.summary()} {chosen.about()}")
        dataset = _controls(chosen, "new_data")
        return dataset if dataset.upload is None else _looked_at(dataset, dataset.upload)


def _looked_at(chosen: Dataset, upload: Upload) -> Dataset | None:
    """The images of the user's if they can be used; says what is in them, what was skipped and what is tested on."""
    if "path" not in chosen.chosen_paths():
        return None
    try:
        found = split(chosen)
    except UedError as error:
        show_error(error)
        return None
    st.success(f"{len(found.train):,} training and {len(found.test):,} test images in {found.train.classes} classes.")
    for note in found.notes:
        if note.startswith(NOT_CLEAN):
            st.warning(plain(seen(note)))
    if few := few_tests(found):
        st.caption(f"**{few}**")
    if found.notes:
        with st.expander(f"What was skipped or changed ({len(found.notes)})", expanded=not upload.zipped):
            st.markdown("\n".join(f"- {plain(seen(note))}" for note in found.notes))
    return chosen


def _attack_part() -> tuple[Attack | None, Poisoning, TrainerPart]:
    with st.container(border=True):
        st.subheader("Attack")
        chosen = choose(ATTACK_CHOICES, key="new_attack", label="Attack")
        st.caption(chosen.summary())
        if issubclass(chosen, NoAttack):
            return None, Poisoning(), _trainer_part("train_on")
        with st.expander("How much is poisoned, and with which key"):
            poisoning = method_controls(Poisoning, key="new")
        return _controls(chosen, "new_attack"), poisoning, _trainer_part()


def _trainer_part(*hidden: str) -> TrainerPart:
    with st.expander("Other labels, or the clean images alone"):
        return method_controls(TrainerPart, key="new", exclude=hidden)


def _defence_part() -> DefenseStack:
    with st.container(border=True):
        st.subheader("Defence")
        if DEFENCES_KEY not in st.session_state:
            asked = st.session_state.get(f"kept:{DEFENCES_KEY}", st.query_params.get(DEFENCES_KEY, ""))
            st.session_state[DEFENCES_KEY] = [name for name in asked.split(",") if name in DEFENSES]
        names = st.multiselect(
            "Defences, in the order in which they act", list(DEFENSES), key=DEFENCES_KEY,
            format_func=lambda name: DEFENSES[name].title, placeholder="None",
            help="They change the training images, never the test images.",
        )  # fmt: skip
        st.session_state[f"kept:{DEFENCES_KEY}"] = ",".join(names)
        if names:
            st.query_params[DEFENCES_KEY] = ",".join(names)
        else:
            st.query_params.pop(DEFENCES_KEY, None)
        made = []
        for name in names:
            st.caption(f"**{DEFENSES[name].title}:** {DEFENSES[name].summary()}")
            made.append(_controls(DEFENSES[name], "new_defence"))
        return DefenseStack(made)


def _part(title: str, catalogue: Catalogue[M], key: str, help: str) -> M:
    with st.container(border=True):
        st.subheader(title)
        chosen = choose(catalogue, key=key, label=title, help=help)
        st.caption(chosen.summary())
        return _controls(chosen, key)


def _plan_part(dataset: Dataset | None, model: Model) -> Plan:
    with st.container(border=True):
        st.subheader("Training plan")
        chosen = choose(PLANS, key="new_plan", label="Optimiser")
        recommended = _recommended(dataset, model, chosen)
        named = model.title if model.recommended_plan else dataset.title if dataset else ""
        st.caption(chosen.summary() + (f" Starts from what suits {named}." if recommended else ""))
        return _controls(chosen, _plan_key(dataset, model), recommended)


def _plan_key(dataset: Dataset | None, model: Model) -> str:
    """Each data set has its own plan controls, because each has its own recommended start; so has a model that
    recommends one."""
    own = f"_{model.key}" if model.recommended_plan else ""
    return (f"new_plan_{dataset.key}" if dataset else "new_plan") + own


def _recommended(dataset: Dataset | None, model: Model, plan: type[Plan]) -> dict[str, Any]:
    known = {p.name for p in plan.parameters()}
    return {
        k: v
        for k, v in {**(dataset.recommended_plan if dataset else {}), **model.recommended_plan}.items()
        if k in known
    }


def _controls(method: type[M], key: str, values: Mapping[str, Any] | None = None, lead: int = 2) -> M:
    """The first ``lead`` parameters in sight, the others on demand."""
    names = [p.name for p in method.parameters()]
    first: Collection[str] = names[:lead] if len(names) > lead + 1 else names
    shown = method_controls(method, key=key, only=first, values=values)
    if len(first) == len(names):
        return shown
    with st.expander(f"{len(names) - len(first)} more parameters"):
        return method_controls(method, key=key, exclude=first, values=shown.model_dump())


# ---- filling it --------------------------------------------------------------------------------


def fill_form(spec: RunSpec) -> None:
    """Set every control to the spec and show the form; only for callbacks, before the controls are drawn."""
    if obstacle_for(spec):
        return
    attack: Method = spec.attack or NoAttack()
    parts: list[tuple[str, Method]] = [
        ("new_data", spec.dataset),
        ("new_attack", attack),
        ("new_model", spec.model),
        (_plan_key(spec.dataset, spec.model), spec.plan),
        ("new", Poisoning.of(spec)),
        ("new", TrainerPart.of(spec)),
        ("new", Repetition.of(spec)),
        *(("new_defence", defence) for defence in spec.defenses),
    ]
    for key, method in parts:
        for name, value in method.model_dump().items():
            set_control(control_key(key, type(method), name), value)
    for key, method in (
        ("new_data", spec.dataset),
        ("new_attack", attack),
        ("new_model", spec.model),
        ("new_plan", spec.plan),
    ):
        set_control(key, method.key)
    st.session_state[DEFENCES_KEY] = [defence.key for defence in spec.defenses]
    open_view("new")


def cannot_edit(spec: RunSpec) -> str:
    """Why the form cannot show the spec to this reader; empty when it can."""
    keys = [defence.key for defence in spec.defenses]
    if len(set(keys)) < len(keys):
        return "The same defence acts twice, which the form cannot show."
    return seen(obstacle_for(spec))


# ---- starting ----------------------------------------------------------------------------------


def _start_part(specs: Sequence[RunSpec]) -> None:
    known = runs.snapshot().records
    finished = {
        key: next((r for r in runs.find(key) if r.state == "finished" and not r.outdated), None)
        for key in (spec.key() for spec in specs)
    }
    missing = [spec for spec in specs if finished[spec.key()] is None]
    with st.container(border=True):
        st.markdown(
            f"**{plain(specs[0].title())}**"
            + (f", seeds {specs[0].seed} to {specs[-1].seed}" if len(specs) > 1 else "")
        )
        known_caption(specs[0])
        _missing_weights(specs[0].model)
        run_cost(specs[0], known, len(specs))
        staged_expectation(specs[0])
        done = [record for record in finished.values() if record]
        if done:
            what = "A finished run" if len(done) == 1 else f"{len(done)} finished runs"
            verb = "is" if len(done) == 1 else "are"
            st.info(
                f"{what} with exactly these settings {verb} here already. "
                "On the same kind of machine the same numbers would come out again."
            )
        label = f"Start {len(specs)} runs" if len(specs) > 1 else "Start training"
        with st.container(horizontal=True):
            if st.button(label + " again" * (not missing), type="primary" if missing else "secondary", key="new_start"):
                start(specs)
            some = f"Start only the {len(missing)} missing"
            if 0 < len(missing) < len(specs) and st.button(some, key="new_start_missing"):
                start(missing)
            for record in done:
                text = f"Open {short_id(record.id)} (seed {record.spec.get('seed')})"
                st.button(text, key=f"new_known_{record.id}", on_click=open_run, args=(record.id,))
        with st.expander("This spec as JSON"):
            st.caption(
                "The whole run in one file: `python -m ued_core train spec.json` does the same without a browser."
            )
            st.code(json.dumps(seen(specs[0].to_json()), indent=2, ensure_ascii=False), language="json")


def _missing_weights(model: Model) -> None:
    """Say before the start that the file of weights is not here."""
    # A visitor may not learn which files there are.
    if model.chosen_paths() and not who().owner:
        return
    try:
        model.initial_weights()
    except UedError as error:
        show_error(error)


def start(specs: Sequence[RunSpec]) -> None:
    """Queue the runs and show them, or say why not."""
    try:
        made = runs.submit_many(specs, by=who())
    except UedError as error:
        show_error(error)
        return
    if len(made) == 1:
        open_run(made[0])
    else:
        open_view("all")
    st.toast("The run is queued." if len(made) == 1 else f"{len(made)} runs are queued.")
    st.rerun()
