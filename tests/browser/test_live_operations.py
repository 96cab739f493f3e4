"""What a browser computes while a slider is dragged is the server's own picture, within one level of 255."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page

from pages.widgets.delivery import HERE
from ued_core.context import Context
from ued_core.defenses import DEFENSES, Defense, DefenseStack
from ued_core.records import ImageSet

pytestmark = pytest.mark.browser

COMPUTE = """([name, scale, settings, width, height, pixels, draws, value]) => {
    const source = Uint8ClampedArray.from(pixels);
    const target = new Uint8ClampedArray(source.length);
    operate({ name, scale, settings }, source, target, width, height, value, draws && Float32Array.from(draws));
    return [...target];
}"""


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.add_script_tag(content=(HERE / "live_operations.js").read_text("utf-8"))
    yield page
    page.close()


def pictures(channels: int, seed: int) -> ImageSet:
    """Two images with edges and noise, not square, so that rows and columns cannot be mistaken for each other."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (2, channels, 12, 17), dtype=np.uint8)
    images[:, :, 3:8, 4:10] = 255
    return ImageSet(torch.from_numpy(images), torch.tensor([0, 1]), ("a", "b"), "two")


def values_of(defense: type[Defense]) -> list[float]:
    parameter = defense.parameters()[0]
    assert parameter.minimum is not None
    assert parameter.maximum is not None
    steps = np.linspace(parameter.minimum, parameter.maximum, 7)
    return [float(round(value)) if parameter.kind == "int" else round(float(value), 3) for value in steps]


LIVE = [name for name, entry in DEFENSES.items() if entry().live((1, 3, 8, 8), torch.Generator()) is not None]


def test_the_operations_that_pages_promise_are_there() -> None:
    assert {"coin", "gaussian_blur", "gaussian_noise", "random_noise", "bit_depth"} <= set(LIVE)


@pytest.mark.parametrize("name", LIVE)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_browser_and_server_agree(blank: Page, name: str, seed: int) -> None:
    variants = [{}, {"boundary": "scipy_wrap"}, {"truncate": True}] if name == "coin" else [{}]
    for channels in (1, 3):
        data = pictures(channels, seed)
        for more in variants:
            for value in values_of(DEFENSES[name]):
                parameter = DEFENSES[name].parameters()[0]
                number = int(value) if parameter.kind == "int" else value
                stack = DefenseStack([DEFENSES.build(name, **{parameter.name: number}, **more)])
                compare(blank, data, stack, value, seed)


def compare(page: Page, data: ImageSet, stack: DefenseStack, value: float, seed: int) -> None:
    served = stack.preview(data, Context(seed=seed)).images.numpy()
    assert farthest(page, data, stack, value, seed, served) <= 1, stack.to_json()


def farthest(page: Page, data: ImageSet, stack: DefenseStack, value: float, seed: int, served: np.ndarray) -> int:
    """The largest difference between the browser's pictures, with the draws of one epoch, and given ones, in levels."""
    found = stack.live(data, Context(seed=seed))
    assert found is not None
    height, width = served.shape[-2:]
    away = 0
    for n, image in enumerate(data.images.numpy()):
        opaque = np.full((height, width, 4), 255)
        opaque[..., :3] = np.broadcast_to(image, (3, height, width)).transpose(1, 2, 0)
        draws = None if found.draws is None else found.draws[n].ravel().tolist()
        given = [found.name, found.scale, dict(found.settings), width, height, opaque.ravel().tolist(), draws, value]
        made = np.array(page.evaluate(COMPUTE, given)).reshape(height, width, 4)[..., :3].transpose(2, 0, 1)
        wanted = np.broadcast_to(served[n], (3, height, width)).astype(int)
        away = max(away, int(np.abs(made - wanted).max()))
    return away


def test_draws_of_another_epoch_would_be_seen(blank: Page) -> None:
    data = pictures(3, 0)
    stack = DefenseStack([DEFENSES.build("coin")])
    served = stack.preview(data, Context(seed=0)).images.numpy()
    assert farthest(blank, data, stack, 2.0, 1, served) > 50
