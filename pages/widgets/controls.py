"""Controls derived from what a method declares; nothing here knows any method.

A control's value is in the address, so that a link shows what its sender saw. A link that asks
for something a method does not accept is answered in words, and the default stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.frame.guard import plain
from pages.frame.visitor import who
from pages.widgets.path_upload import upload_control
from ued_core.catalogue import Catalogue
from ued_core.data.base import Upload
from ued_core.data.handles import is_handle
from ued_core.errors import UedError
from ued_core.params import Method, Parameter

M = TypeVar("M", bound=Method)
T = TypeVar("T", bound=str)

MOST_SLIDER_STEPS = 500
IMAGES_HELP = (
    "A picture that is not square is cut to its centred square, then resized. For training, upload a zip of a folder "
    "with one subfolder for each class. Pictures without such folders are classed by the beginnings of their names "
    "(cat_1, cat_2, dog_1, dog_2), or each is a class of its own."
)


def choose(catalogue: Catalogue[M], *, key: str, label: str, default: str | None = None, help: str = "") -> type[M]:
    """Let the reader pick one entry of a catalogue.

    Args:
        catalogue: what there is to pick from.
        key: name of the control and of its part of the address.
        label: what is picked.
        default: the entry picked at first; the catalogue's first when left out. Other pages may begin with another one:
            as long as nobody chose anything, each shows its own.
        help: shown on demand beside the label.
    """
    names = list(catalogue)
    default = default or names[0]
    _prepare(key, label, default, lambda text: catalogue[text].key)
    elsewhere = _chosen_elsewhere(key, label, catalogue, f"{catalogue[default].title} is shown instead")
    if elsewhere and st.session_state[key] not in names:
        st.session_state[key] = default
    chosen = st.selectbox(
        label,
        names,
        key=key,
        format_func=lambda name: catalogue[name].title,
        help=help or None,
        on_change=_choose_anew,
        args=(key,),
    )
    if not elsewhere:
        _keep(key, chosen, default, remember=False)
    return catalogue[chosen]


def choose_several(
    catalogue: Catalogue[M], *, key: str, label: str, without: Collection[str] = (), help: str = ""
) -> tuple[type[M], ...]:
    """Let the reader pick any number of entries of a catalogue, in the order in which they are picked.

    Args:
        catalogue: what there is to pick from.
        key: name of the control and of its part of the address, where the names stand with commas between them.
        label: what is picked.
        without: names that are not offered here.
        help: shown on demand beside the label.
    """
    names = [name for name in catalogue if name not in without]
    _prepare(key, label, "", lambda text: ",".join(catalogue[name].key for name in text.split(",") if name))
    elsewhere = _chosen_elsewhere(key, label, catalogue, "it is left out here")
    asked = st.session_state[key]
    asked = asked.split(",") if isinstance(asked, str) else asked
    st.session_state[key] = [name for name in dict.fromkeys(asked) if name in names]
    chosen = st.multiselect(
        label,
        names,
        key=key,
        format_func=lambda name: catalogue[name].title,
        placeholder="None",
        help=help or None,
        on_change=_choose_anew,
        args=(key,),
    )
    if not elsewhere:
        _keep(key, ",".join(chosen), "")
    return tuple(catalogue[name] for name in chosen)


def method_controls(
    method_class: type[M],
    *,
    key: str,
    only: Collection[str] | None = None,
    exclude: Collection[str] = (),
    values: Mapping[str, Any] | None = None,
) -> M:
    """Draw one control for each declared parameter and build the method from them.

    Args:
        method_class: whose parameters.
        key: prefix that keeps two panels with the same method apart; also in the address.
        only: draw these alone; the others keep their defaults.
        exclude: do not draw these.
        values: starting values in place of declared defaults, also for parameters that are not drawn.

    Raises:
        ParameterError: ``values`` break the declaration, or parameters do not fit together.
    """
    start = {p.name: p.default for p in method_class.parameters()} | dict(values or {})
    method_class(**start)
    chosen = dict(start)
    for parameter in method_class.parameters():
        name = parameter.name
        if name in exclude or (only is not None and name not in only):
            continue
        value = parameter_control(
            parameter,
            key=control_key(key, method_class, name),
            default=start[name],
            upload=getattr(method_class, "upload", None),
        )
        if parameter.kind == "text" and (problem := _refusal(method_class, {**start, name: value})):
            st.warning(f"{plain(problem)} Until then {plain(repr(start[name])) if start[name] else 'nothing'} is used.")
        else:
            chosen[name] = value
    return method_class(**chosen).located(None)


def _refusal(method_class: type[Method], values: Mapping[str, Any]) -> str:
    """Why the method does not take these values; empty when it does."""
    try:
        # Nobody knows the folder in which a path that is typed into a browser would start.
        method_class(**values).located(None)
    except UedError as error:
        return str(error)
    return ""


def control_key(key: str, method_class: type[Method], parameter: str) -> str:
    """The control's key, which is also its name in the address.

    The method is part of it: two methods may declare the same parameter with other ranges.
    """
    parts = [key] if key == method_class.key else [key, method_class.key]
    return "_".join([*parts, parameter])


def parameter_control(parameter: Parameter, *, key: str, default: Any, upload: Upload | None = None) -> Any:
    """One control; its value satisfies the declaration.

    Args:
        parameter: what is declared.
        key: name of the control and of its part of the address.
        default: the value at first.
        upload: how what the parameter names is uploaded, where it is a path.
    """
    if parameter.kind == "choice":
        _drop_unknown(key, parameter.choices)
    label = parameter.label[:1].upper() + parameter.label[1:]
    _prepare(key, label, default, lambda text: _permitted(parameter, from_text(parameter, text)))
    value = _draw(parameter, label, key, upload)
    _keep(key, value, default)
    return value


def _permitted(parameter: Parameter, value: Any) -> Any:
    """The value of a link, unless it names a path and the reader is a visitor."""
    if parameter.path and value and not who().owner and not is_handle(value):
        raise UedError("A path of the server was asked for, which visitors may not use.")
    return value


def segments(label: str, options: Mapping[T, str], *, key: str, default: T, help: str = "") -> T:
    """Let the reader pick one of a few, all of them in sight.

    Args:
        label: what is picked.
        options: value → its words.
        key: name of the control and of its part of the address.
        default: the value picked at first.
        help: shown on demand beside the label.
    """
    known = Parameter(name=key, label=label, kind="choice", default=default, choices=tuple(options))
    _drop_unknown(key, known.choices)
    _prepare(key, label, default, lambda text: from_text(known, text))
    chosen = st.segmented_control(
        label,
        list(options),
        key=key,
        format_func=options.__getitem__,
        required=True,
        help=help or None,
        on_change=_forget_notice,
        args=(key,),
    )
    assert chosen is not None, "Streamlit lets nobody take back a required choice."
    _keep(key, chosen, default)
    return chosen


def slide(label: str, options: Mapping[T, str], *, key: str, default: T, help: str = "") -> T:
    """Let the reader drag between a few values in their order; arguments as in :func:`segments`."""
    known = Parameter(name=key, label=label, kind="choice", default=default, choices=tuple(options))
    _drop_unknown(key, known.choices)
    _prepare(key, label, default, lambda text: from_text(known, text))
    chosen = st.select_slider(
        label,
        list(options),
        key=key,
        format_func=options.__getitem__,
        help=help or None,
        on_change=_forget_notice,
        args=(key,),
    )
    _keep(key, chosen, default)
    return chosen


def pick(label: str, options: Mapping[T, str], *, key: str, default: T, help: str = "") -> T:
    """Let the reader pick one of many from a list; arguments as in :func:`segments`."""
    known = Parameter(name=key, label=label, kind="choice", default=default, choices=tuple(options))
    _drop_unknown(key, known.choices)
    _prepare(key, label, default, lambda text: from_text(known, text))
    chosen = st.selectbox(
        label,
        list(options),
        key=key,
        format_func=options.__getitem__,
        help=help or None,
        on_change=_forget_notice,
        args=(key,),
    )
    _keep(key, chosen, default)
    return chosen


def _drop_unknown(key: str, choices: Collection[str]) -> None:
    """Forget a choice that this session made when there was something else to choose from."""
    state = st.session_state
    if key in state and state[key] not in choices:
        del state[key]
        if key in st.query_params:
            del st.query_params[key]
    kept = state.get(_KEPT, {})
    if kept.get(key, next(iter(choices))) not in choices:
        del kept[key]


def from_text(parameter: Parameter, text: str) -> Any:
    """The value that a link's text means.

    Raises:
        UedError: the text breaks the declaration.
    """
    refused = UedError(f"{text!r} was asked for, but it must be {parameter.rule}.")
    try:
        return parameter.parse(text)
    except ValueError:
        raise refused from None


def _draw(parameter: Parameter, label: str, key: str, upload: Upload | None) -> Any:
    label += f" ({parameter.unit})" if parameter.unit else ""
    shared: dict[str, Any] = {
        "key": key,
        "help": parameter.help or None,
        "on_change": _forget_notice,
        "args": (key,),
    }
    match parameter.kind:
        case "bool":
            return st.toggle(label, **shared)
        case "choice":
            return st.selectbox(label, parameter.choices, **shared)
        case "text" if parameter.path and not who().owner:
            given = _upload(parameter, label, key, upload)
            if not is_handle(given):
                st.session_state[key] = given = ""
            return given
        case "text" if parameter.path and upload is not None:
            _upload(parameter, label, key, upload)
            return st.text_input(f"{label} on this computer, instead of an upload", **shared)
        case "text":
            return st.text_input(label, **shared)
    number = int if parameter.kind == "int" else float
    low, high = (None if v is None else number(v) for v in (parameter.minimum, parameter.maximum))
    step = number(parameter.step or natural_step(parameter))
    form = "%d" if number is int else f"%.{decimals(step)}f"
    if low is not None and high is not None and (high - low) / step <= MOST_SLIDER_STEPS:
        return st.slider(label, low, high, step=step, format=form, **shared)
    return st.number_input(label, low, high, step=step, format=form, **shared)


def _upload(parameter: Parameter, label: str, key: str, upload: Upload | None) -> str:
    """The uploader of a path parameter."""
    if upload is None:
        return upload_control("Upload" if parameter.name == "path" else f"{label}: upload", parameter.help, key)
    if parameter.name != "path":
        return upload_control("Clean test images in a file of their own, if there are any", parameter.help, key)
    help = IMAGES_HELP if upload.zipped else parameter.help
    return upload_control(upload.words, help, key, upload.endings, upload.several)


def natural_step(parameter: Parameter) -> float:
    """A step for a number that declares none: 1, or about a hundredth of the range, rounded to 1, 2 or 5."""
    if parameter.kind == "int":
        return 1
    if parameter.minimum is None or parameter.maximum is None:
        return 0.01
    exact = (parameter.maximum - parameter.minimum) / 100
    power = 10.0 ** math.floor(math.log10(exact))
    return min((1, 2, 5, 10), key=lambda factor: abs(factor * power - exact)) * power


def decimals(step: float) -> int:
    """How many digits after the point show every multiple of ``step``."""
    return next((digits for digits in range(7) if math.isclose(round(step, digits), step, rel_tol=1e-9)), 7)


# ---- address and memory --------------------------------------------------------------------
#
# Streamlit's own binding to the address drops or clamps what it cannot use without a word, and
# forgets values on a page switch. Here both are explicit: a value is adopted from the address
# when the control appears and when the reader goes back in the browser's history, kept for the
# session under a name of its own, and written to the address when it is no default.

# One dict, not a key a control: Streamlit looks at every key of the session for every control it draws.
_KEPT, _DRAWN_ON = "kept", "drawn_on"
_NOTICE = "notice:"


def _prepare(key: str, label: str, default: Any, read: Callable[[str], Any]) -> None:
    """Give the control that is drawn next its value, and show what was wrong with its link."""
    state = st.session_state
    context = get_script_run_ctx()
    went_back = getattr(context, "is_history_navigation", False)
    # The same key on another page is another control to Streamlit, which would start it at its lowest value.
    here = getattr(context, "page_script_hash", "")
    drawn_on = state.setdefault(_DRAWN_ON, {})
    moved = drawn_on.get(key) != here
    drawn_on[key] = here
    if key not in state or went_back or moved:
        state[key] = default if went_back else state.get(_KEPT, {}).get(key, default)
        if key in st.query_params:
            try:
                state[key] = read(st.query_params[key])
                state.setdefault(_KEPT, {})[key] = state[key]
            except UedError as error:
                state[key] = default
                state[_NOTICE + key] = f"**{plain(label)}** in the link: {plain(str(error))}"
    if notice := state.get(_NOTICE + key):
        st.warning(f"{notice} The default is used instead.")


def value_of(key: str, default: Any) -> Any:
    """What a control of this page will hold when it is drawn, for words that stand before it; a link's value as it is,
    whether or not the control accepts it."""
    state = st.session_state
    here = getattr(get_script_run_ctx(), "page_script_hash", "")
    if key in state and state.get(_DRAWN_ON, {}).get(key) == here:
        return state[key]
    return st.query_params.get(key, state.get(_KEPT, {}).get(key, default))


def set_control(key: str, value: Any) -> None:
    """Give a control of this page a value before it is drawn, whatever it held and whatever the address says."""
    st.session_state[key] = st.session_state.setdefault(_KEPT, {})[key] = value
    st.session_state.setdefault(_DRAWN_ON, {})[key] = getattr(get_script_run_ctx(), "page_script_hash", "")


def set_method(key: str, method: Method) -> None:
    """Give the controls of :func:`choose` and :func:`method_controls` with this key a method, before they are drawn."""
    set_control(key, method.key)
    for name, value in method.model_dump().items():
        set_control(control_key(key, type(method), name), value)


def method_address(method: Method, *, key: str) -> dict[str, str]:
    """The part of an address under which :func:`choose` and :func:`method_controls` with this key show exactly this
    method.

    Defaults are named as well: where the reader has changed something before, an address that leaves it out means the
        change.
    """
    values = {control_key(key, type(method), name): _as_text(value) for name, value in method.model_dump().items()}
    return {key: method.key, **values}


def _forget_notice(key: str) -> None:
    st.session_state.pop(_NOTICE + key, None)


def _choose_anew(key: str) -> None:
    _forget_notice(key)
    value = st.session_state[key]
    st.session_state.setdefault(_KEPT, {})[key] = value if isinstance(value, str) else ",".join(value)


def _chosen_elsewhere(key: str, label: str, catalogue: Catalogue[M], instead: str) -> bool:
    """Whether this session chose something that this page does not offer; says so, and the choice stays for other
    pages."""
    kept = str(st.session_state.get(_KEPT, {}).get(key, ""))
    missing = [name for name in kept.split(",") if name and name not in catalogue]
    if missing:
        names = " and ".join(f"`{plain(name)}`" for name in missing)
        st.info(f"**{plain(label)}**: {names} was chosen on another page and cannot be shown on this one; {instead}.")
    return bool(missing)


def _keep(key: str, value: Any, default: Any, remember: bool = True) -> None:
    """Remember a control's value for the session, and write it to the address.

    Args:
        remember: also a default that nobody chose.
    """
    kept = st.session_state.setdefault(_KEPT, {})
    if remember or value != default or key in kept:
        kept[key] = value
    if value == default:
        if key in st.query_params:
            del st.query_params[key]
        return
    text = _as_text(value)
    if st.query_params.get(key) != text:
        st.query_params[key] = text


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
