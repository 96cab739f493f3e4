"""The command ``theta``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ued_core.cli.command import Command
from ued_core.cli.options import add_options, at_least, catalogues, given, option_value
from ued_core.cli.spec_options import add_field
from ued_core.errors import ParameterError


def theta(options: argparse.Namespace) -> int:
    """Both Θ metrics of a convolution attack under COIN, sampled and for n → ∞."""
    import numpy as np

    from ued_core.attacks import ATTACKS
    from ued_core.theory import expected, limit
    from ued_core.theory import theta as sampled

    method = ATTACKS[options.attack]
    attack = method(**given(options, method))
    kernels = attack.kernels(options.classes, options.seed)
    if kernels is None:
        raise ParameterError(
            f"Θ is defined for convolution-based attacks, and {attack.title} is none.",
            "Choose cuda, vuda or huda.",
        )
    size = (options.size, options.size)
    drawn = sampled(
        kernels, options.strength, options.samples, np.random.default_rng(options.seed), size, options.boundary
    )
    full = limit(kernels, options.strength, size, options.boundary)
    imi, imc = expected(full, options.samples, options.size**2)
    numbers = {
        "theta_imi": drawn.imi,
        "theta_imc": drawn.imc,
        "theta_imi_limit": full.imi,
        "theta_imc_limit": full.imc,
        "theta_imi_expected": imi,
        "theta_imc_expected": imc,
    }
    if options.json:
        inputs = {
            "attack": attack.to_json(),
            "seed": options.seed,
            "strength": options.strength,
            "samples": options.samples,
        }
        print(
            json.dumps(
                {**numbers, **inputs, "boundary": options.boundary, "size": options.size, "classes": options.classes}
            )
        )
        return 0
    print(
        f"Θ of {attack.title}, COIN α = {options.strength} px, {options.classes} classes, {options.size}×{options.size}"
    )
    print(f"  n = {options.samples:<6} Θ_imi {drawn.imi:.6g}   Θ_imc {drawn.imc:.6g}")
    print(f"  n → ∞    Θ_imi {full.imi:.6g}   Θ_imc {full.imc:.6g}")
    return 0


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--attack", default="cuda", metavar="ATTACK")
    add_field(parser, "attack_seed", name="seed", help="The private key; also seeds the sample.")
    parser.add_argument("--strength", type=float, default=2.0, help="COIN's α in pixels")
    parser.add_argument("--samples", type=at_least(1), default=50, help="matrices per class")
    parser.add_argument("--boundary", choices=("periodic", "scipy_wrap"), default="periodic")
    parser.add_argument("--size", type=at_least(2), default=32, help="side length of the images")
    parser.add_argument("--classes", type=at_least(2), default=10)
    parser.add_argument("--json", action="store_true")
    add_options(parser, catalogues()["attacks"][option_value(argv, "--attack") or "cuda"])


COMMAND = Command("theta", theta, _options)
