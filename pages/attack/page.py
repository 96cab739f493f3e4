"""The page Attack: what is changed, and by which kernels."""

import streamlit as st

from pages.frame.navigation import script
from pages.state.choice import protocol_line
from pages.state.crafting import crafting_note
from pages.state.handover import train_with_this
from pages.state.kernel_controls import class_control, kernel_table
from pages.state.known_words import known_caption
from pages.state.selection import selection_chips
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core.figures.operators import kernel_grid
from ued_core.figures.roles import tinted
from ued_core.figures.tiles import amplified_difference, fitting_gain

FRAME = 16
"""From this many levels on, the frame that zero padding leaves is seen."""

st.title("Attack")
st.markdown(
    "**What does the attack change, and what gives the class away?** An availability attack alters training images: "
    f"a model scores high on {tinted('poisoned')} ones in training, and fails on {tinted('clean')} ones."
)
choice = selection_chips(looks=True)
st.markdown(f"**{choice.attack.title}.** {choice.attack.summary()}")
known_caption(choice.spec())
images, rows = choice.shown(1)
result = choice.poisoned(images)
names = choice.train.class_names
kernels = choice.attack.kernels(choice.train.classes, choice.seed)

st.header("Clean, poisoned, and what changed")
gain = fitting_gain(images.images, result.images)
largest = int(result.delta.abs().max())
darkened = -float(result.delta[..., 0, :].float().mean())
tile_rows(
    [
        ("clean", "", images.images),
        ("poisoned", choice.attack.title, result.images),
        ("difference", f"× {gain:g}, grey = none", amplified_difference(images.images, result.images, gain)),
    ],
    alt=f"One image of each class, clean, poisoned by {choice.attack.title}, and their difference amplified "
    f"{gain:g} times.",
    names=[names[label] for label in images.labels.tolist()],
    caption=f"{protocol_line(choice)}. The difference is shown × {gain:g}; the largest change of a pixel is "
    f"{largest}/255, the mean {float(result.delta.abs().float().mean()):.1f}/255."
    + (
        " Note the dark frame: the filter treats everything outside the image as black."
        if kernels is not None and darkened > FRAME
        else ""
    ),
)
crafting_note(choice)
if kernels is not None:
    st.header("One kernel per class")
    st.markdown(
        "Every image of a class passes through that class's filter. **Compare two kernels:** the more weight "
        "beside the 1, the stronger the blur. The place of the 1 moves the image: off the centre, by as many pixels. "
        "Blur and shift alone already tell the class."
    )
    chosen = class_control(names, key="class", label="class")
    live_chart(
        kernel_grid(kernels, names, selected=chosen),
        key="kernels",
        height=40 + 170 * -(-len(names) // 5),
        alt=f"The {kernels.shape[1]} by {kernels.shape[1]} kernels of {len(names)} classes with their weights.",
        filename=f"{choice.attack.key}_kernels",
    )
    kernel_table(kernels, names)
    st.page_link(
        script("matrices/page.py"),
        label="Every filter is also a matrix: see its rows, its singular values and its frequency response →",
    )
st.page_link(script("defence/page.py"), label="What does COIN do to it? →")
train_with_this(choice, page="Attack")
