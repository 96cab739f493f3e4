"""Streams of randomness, reports, cancellation, devices."""

import pytest
import torch

from ued_core.context import Context, exact_device, exact_generator, pick_device
from ued_core.errors import Cancelled, Unavailable


def draw(ctx: Context, *name: object) -> list[float]:
    return torch.rand(4, generator=ctx.generator(*name)).tolist()


def test_streams_are_named_and_fresh() -> None:
    ctx = Context(seed=3)
    assert draw(ctx, "a") == draw(ctx, "a") == draw(Context(seed=3), "a")
    different = [
        draw(ctx, "a"),
        draw(ctx, "b"),
        draw(ctx, "a", 1),
        draw(ctx, "a", 2),
        draw(ctx),
        draw(Context(seed=4), "a"),
    ]
    assert len({tuple(values) for values in different}) == len(different)
    assert draw(ctx.with_seed(4), "a") == draw(Context(seed=4), "a")


def test_stream_seeds_stay_what_they_are() -> None:
    """Written down once: a change would change every stored result."""
    assert Context(seed=0).stream_seed("weights") == 133441691874178746
    assert Context(seed=7).stream_seed("train", 3) == 1707331500321738691
    assert all(0 <= Context(seed=s).stream_seed("x") < 2**63 for s in range(50))


def test_generators_live_on_the_wanted_device() -> None:
    assert Context().generator("a").device.type == "cpu"
    assert Context(device=torch.device("meta")).generator("a", device="cpu").device.type == "cpu"


def test_reports_carry_cancellation() -> None:
    seen: list[tuple[float, float, str]] = []
    ctx = Context(on_report=lambda *report: seen.append(report))
    ctx.report(1, 2, "half")
    ctx.report(2, 2)
    assert seen == [(1, 2, "half"), (2, 2, "")]
    stopped = Context(on_report=lambda *report: seen.append(report), stop=lambda: True)
    with pytest.raises(Cancelled):
        stopped.report(1, 2, "late")
    with pytest.raises(Cancelled):
        stopped.check()
    assert len(seen) == 2
    assert stopped.with_seed(9).stop()


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device() == pick_device("cpu") == torch.device("cpu")
    for wanted in ("cuda", "cuda:1"):
        with pytest.raises(Unavailable, match=f"'{wanted}', but torch sees no GPU"):
            pick_device(wanted)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device() == torch.device("cuda")


def test_apples_gpu_is_taken_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(Unavailable, match="'mps', but torch sees no Apple GPU here. Use device 'auto' or 'cpu'"):
        pick_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device("mps") == torch.device("mps")
    assert pick_device() == torch.device("cpu")


class OnApple(torch.Generator):
    """Says that it is on Apple's GPU, and draws on the processor."""

    @property
    def device(self) -> torch.device:
        return torch.device("mps")


def test_float64_is_computed_on_the_processor_for_apples_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exact_device(torch.device("mps")) == torch.device("cpu")
    for name in ("cpu", "cuda:1"):
        assert exact_device(torch.device(name)) == torch.device(name)
    own = torch.Generator()
    assert exact_generator(own) is own
    drawn = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *args, device, **kwargs: drawn(*args, **kwargs))

    def draws() -> list[list[float]]:
        rng = OnApple().manual_seed(5)
        return [torch.rand(3, generator=exact_generator(rng)).tolist() for _ in range(2)]

    first = draws()
    assert first == draws(), "the same stream gives the same draws"
    assert first[0] != first[1], "the stream goes on"
