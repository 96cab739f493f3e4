"""The server: ``streamlit run app.py``.

Start-up work runs beside the first visits, never before them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from starlette.middleware import Middleware

from pages.frame.door import Door, announce, is_served
from pages.frame.garbage import collect_by_the_clock, set_aside
from pages.frame.navigation import PAGES
from pages.state import background
from pages.state.run_changes import changes_route
from pages.widgets.delivery import delivery_routes
from pages.widgets.paper_route import paper_route
from pages.widgets.plotly_route import packed_plotly, plotly_route
from ued_core.errors import UedError
from ued_core.runs import ensure_supervisor

ROOT = Path(__file__).resolve().parent
log = logging.getLogger("ued")


def import_heavy_modules() -> None:
    """Load once what any page imports, large libraries among it."""
    packed_plotly()
    for entry in PAGES:
        entry.load()


def rehearse() -> None:
    """Load compiled loops and what figures import late before the first slider needs them."""
    import numpy as np
    import torch

    from ued_core.attacks.convolution import Cuda
    from ued_core.defenses.coin import Coin
    from ued_core.figures.consistency import theta_curves
    from ued_core.theory import theta

    attack = Cuda()
    kernels = attack.kernels(2, 0)
    assert kernels is not None
    moved = Coin().augment(torch.zeros(1, 3, 8, 8), torch.Generator())
    attack.as_class((moved * 255).to(torch.uint8), torch.zeros(1, dtype=torch.int64), 2, 0)
    now = theta(kernels, 1.0, 2, np.random.default_rng(0), (8, 8))
    curve = np.linspace(0, 1, 2)
    theta_curves(curve, (curve, curve), (curve, curve), 2, (1.0, now.imi, now.imc)).to_json()


async def start_up() -> None:
    """Everything that makes later pages quick; a failure is logged and costs only speed."""
    for step in (ensure_supervisor, import_heavy_modules, background.start, rehearse, set_aside):
        try:
            await asyncio.to_thread(step)
        except Exception:
            log.exception("Start-up step %s failed", step.__name__)
    await collect_by_the_clock()


def _announce_or_end() -> None:
    try:
        announce()
    except UedError as error:
        # An exception would reach the terminal as a traceback of three libraries, with the sentence at its end.
        print(f"The app was not started. {error}", file=sys.stderr, flush=True)
        os._exit(2)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Start-up work in the background, and an orderly end; none without a passcode where others can reach the
    server."""
    if is_served():
        _announce_or_end()
    task = asyncio.create_task(start_up())
    try:
        yield {}
    finally:
        task.cancel()
        await asyncio.to_thread(background.stop)


app = st.App(
    ROOT / "pages" / "frame" / "router.py",
    lifespan=lifespan,
    routes=[plotly_route(), paper_route(), background.wait_route(), changes_route(), *delivery_routes()],
    middleware=[Middleware(Door)],
)
