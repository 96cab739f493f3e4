"""The same work without a browser: ``python -m ued_core …``.

Options are derived from the declarations of the methods. Results go to standard output,
everything else to standard error. Exit codes: 0 done, 1 a run ended badly, 2 the input was
wrong, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ued_core.errors import Cancelled, DataError, ParameterError, UedError, UnknownName

if TYPE_CHECKING:
    # Listing and cancelling runs must not wait for what describes methods.
    from ued_core.params import Catalogue, Method, Parameter


def catalogues() -> dict[str, Catalogue[Any]]:
    """Every catalogue under the name that ``methods`` prints."""
    from ued_core.attacks import ATTACKS
    from ued_core.data import DATASETS
    from ued_core.data.relabel import RELABELLINGS
    from ued_core.defenses import DEFENSES
    from ued_core.models import MODELS
    from ued_core.training import PLANS

    return {
        "attacks": ATTACKS,
        "defenses": DEFENSES,
        "datasets": DATASETS,
        "models": MODELS,
        "plans": PLANS,
        "relabellings": RELABELLINGS,
    }


# ---------------------------------------------------------------- options from declarations


def _convert(parameter: Parameter) -> Callable[[str], Any]:
    """Text of the command line → a value; the method itself checks the rule."""

    from ued_core.params import absolute_path

    def convert(text: str) -> Any:
        try:
            return absolute_path(text, Path.cwd()) if parameter.path else parameter.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} given, but it must be {parameter.rule}") from None

    return convert


def add_options(
    parser: argparse.ArgumentParser, method: type[Method], prefix: str = "", without: Sequence[str] = ()
) -> None:
    """One ``--name value`` option for each declared parameter."""
    for parameter in method.parameters():
        if parameter.name in without:
            continue
        parser.add_argument(
            f"--{prefix}{parameter.name.replace('_', '-')}",
            dest=f"{prefix}{parameter.name}".replace("-", "_"),
            type=_convert(parameter),
            default=argparse.SUPPRESS,
            metavar=parameter.kind.upper(),
            help=f"{parameter.help} {parameter.rule[0].upper()}{parameter.rule[1:]}; default "
            f"{parameter.default!r}.".replace("%", "%%"),
        )


def given(options: argparse.Namespace, method: type[Method], prefix: str = "") -> dict[str, Any]:
    """The parameters that were given on the command line."""
    found = vars(options)
    names = {p.name: f"{prefix}{p.name}".replace("-", "_") for p in method.parameters()}
    return {name: found[dest] for name, dest in names.items() if dest in found}


def _known(argv: Sequence[str], catalogue: Catalogue[Any]) -> type[Method] | None:
    """The method that a command names, wherever among its options it stands; None when there is no word at all."""
    words = [a for a in argv if not a.startswith("-")][1:]
    named = next((word for word in words if word in catalogue), None)
    return catalogue[named or words[0]] if words else None


def _option(argv: Sequence[str], name: str) -> str | None:
    for i, word in enumerate(argv):
        if word == name and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(name + "="):
            return word.split("=", 1)[1]
    return None


# ---------------------------------------------------------------- commands


def methods(options: argparse.Namespace) -> int:
    """List every attack, defence, data set, model, plan and relabelling with its parameters."""
    found = {name: [entry.describe() for entry in catalogue.values()] for name, catalogue in catalogues().items()}
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for name, entries in found.items():
        print(name)
        for entry in entries:
            print(f"  {entry['name']:<12} {entry['summary']}")
            for p in entry["parameters"]:
                print(f"      --{p['name'].replace('_', '-'):<16} {p['help']} [{p['default']!r}]")
    return 0


def _dataset(text: str) -> type[Any]:
    """The data set that ``--data`` means: one of the catalogue, or what lies at a path.

    Raises:
        UedError: neither; the message says what to write.
    """
    from ued_core.data import DATASETS, method_at
    from ued_core.data.at_path import KINDS

    if text in DATASETS:
        return DATASETS[text]
    path = Path(_here(text))
    if not os.path.exists(path) and not path.suffix and "/" not in text:
        unknown = UnknownName("data set", text, DATASETS)
        raise UedError(unknown.what, f"{unknown.do} Or give the path of {KINDS}; there is nothing of this name here.")
    return method_at(path)


def _here(text: str) -> str:
    from ued_core.params import absolute_path

    return absolute_path(text, Path.cwd()) or text


def _read_data(options: argparse.Namespace, ctx: Any) -> tuple[Any, dict[str, Any]]:
    """The images that ``--data`` names, and what a recipe keeps of where they come from.

    A file that is given by its path is taken whole; a data set that is divided gives the part that was asked for.
    """
    from ued_core.data import DATASETS, FileSet, Npz, load_split, origin_json, provenance, read_recipe, without_paths

    method = _dataset(options.data)
    named = options.data in DATASETS
    dataset = method(**given(options, method, "data-"), **({} if named else {"path": _here(options.data)}))
    if isinstance(dataset, FileSet) and not named:
        images, notes = dataset.whole(options.part, ctx)
        for note in notes:
            ctx.on_note(note)
    else:
        images = getattr(load_split(dataset, ctx), options.part)
    if isinstance(dataset, Npz):
        recipe = read_recipe(dataset.file())
        return images, {} if provenance(recipe) is None else {"given": without_paths(recipe)}
    return images, {"data": origin_json(dataset, options.part)}


def _context(seed: int, device: str = "auto") -> Any:
    from ued_core.context import Context, pick_device

    progress = Progress()
    return Context(seed=seed, device=pick_device(device), on_report=progress, on_note=progress.note)


def poison(options: argparse.Namespace) -> int:
    """Poison a data set and write it as npz."""
    from ued_core.attacks import ATTACKS
    from ued_core.attacks.checkpoint import poison_once
    from ued_core.data import write_npz
    from ued_core.studies.estimate import crafting_cost

    method = ATTACKS[options.attack]
    attack = method(**given(options, method))
    ctx = _context(options.seed, options.device)
    data, about = _read_data(options, ctx)
    if attack.needs_whole_set:
        print(crafting_cost(attack, data, options.seed).sentence(), file=sys.stderr)
    result = poison_once(attack, data, ctx, options.poison_rate, options.poison_classes)
    recipe = {
        "attack": attack.to_json(),
        "poison_rate": options.poison_rate,
        **({"poison_classes": list(options.poison_classes)} if options.poison_classes else {}),
        "seed": options.seed,
        "clean_hash": data.content_hash,
        **about,
    }
    write_npz(Path(options.out), result.as_training_set(), recipe=recipe)
    largest = int(result.delta.abs().max())
    print(f"{options.out}: {len(data)} images, {int(result.touched.sum())} poisoned, largest change {largest}/255")
    return 0


def defend(options: argparse.Namespace) -> int:
    """Apply a defence once to a data set and write it as npz."""
    from ued_core.data import write_npz
    from ued_core.defenses import DEFENSES, preview

    method = DEFENSES[options.defense]
    defense = method(**given(options, method))
    ctx = _context(options.seed, options.device)
    data, about = _read_data(options, ctx)
    result = preview((defense,), data, ctx)
    recipe = {"defenses": [defense.to_json()], "seed": options.seed, "given_hash": data.content_hash, **about}
    write_npz(Path(options.out), result, recipe=recipe)
    print(f"{options.out}: {len(result)} images defended by {defense.title}")
    return 0


def write_data(options: argparse.Namespace) -> int:
    """Write one part of a data set, as it is, as npz: clean test images for a poisoned file, for example."""
    from ued_core.data import write_npz

    data, about = _read_data(options, _context(0, "cpu"))
    write_npz(Path(options.out), data, recipe={"clean_hash": data.content_hash, "data": {}, **about})
    print(f"{options.out}: {len(data)} images in {data.classes} classes")
    return 0


def inspect(options: argparse.Namespace) -> int:
    """Say what a poison file of another program is, and what its released loader would make of it."""
    from ued_core.data.poison_files import AFTERWARDS, Reading, compare, load

    asked = {name: getattr(options, name) for name in ("format", "content", "layout", "scale", "per", "radius")}
    data = _read_data(options, _context(0, "cpu"))[0] if options.data else None
    imported = load(Path(options.file), data, Reading(**asked))
    found = imported.found
    ctx = _context(0, "cpu")
    measured = [(rule, compare(imported, data, rule.key, ctx)) for rule in imported.rules] if data is not None else []
    if options.json:
        numbers = {rule.key: asdict(comparison) for rule, comparison in measured}
        print(
            json.dumps(
                {**found.to_json(), "content_hash": imported.content_hash, "loaders": numbers},
                indent=2,
                ensure_ascii=False,
            )
        )
        return 0
    print("\n".join([found.name, *found.lines()]))
    for rule, c in measured:
        print(f"{rule.title}: {rule.words} {AFTERWARDS}")
        print(
            f"  against signed and rounded: {100 * c.differing:.1f} % of the values differ, "
            f"on average {c.shift:+.3f}/255, at most {c.largest}/255; "
            f"{100 * c.lowered_lost:.1f} % of the darkened values are lost; L∞ {c.released_linf}/255 instead of "
            f"{c.ours_linf}/255"
        )
    return 0


def export(options: argparse.Namespace) -> int:
    """Poison the data that a run spec names and write it as npz, as a zip of PNG files, or as EM's perturbation.pt."""
    from ued_core.runs.spec import RunSpec
    from ued_core.studies.export import export_spec

    spec = RunSpec.read(Path(options.spec))
    written = export_spec(spec, options.to, Path(options.out), _context(0, "cpu"))
    rest = ", before the defences of the spec" if spec.defenses else ""
    print(f"{', '.join(written.files)}: {written.images} images, {written.poisoned} poisoned{rest}")
    return 0


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


def train(options: argparse.Namespace) -> int:
    """Queue the run that a JSON file describes; prints its id."""
    from ued_core import runs
    from ued_core.data import load_split
    from ued_core.data.cache import is_kept
    from ued_core.runs.spec import RunSpec

    spec = RunSpec.read(Path(options.spec))
    if options.dry_run:
        if spec.dataset.chosen_paths():
            # Whether files can be used, and what is skipped or changed, is known before the run as well.
            load_split(spec.dataset, _context(0, "cpu"))
        print("\n".join([spec.title(), *_cost(spec, runs.runs()), *_expected(spec)]))
        return 0
    print("\n".join(_expected(spec)), end="\n" * bool(_expected(spec)), file=sys.stderr)
    if spec.attack is not None and spec.attack.needs_whole_set and (spec.dataset.embedded or is_kept(spec.dataset)):
        print("\n".join(_cost(spec, runs.runs())), file=sys.stderr)
    run_id = runs.submit(spec)
    print(run_id, flush=True)
    return _follow(run_id) if options.wait else 0


def _cost(spec: Any, known: Sequence[Any]) -> list[str]:
    """What a run will cost, one line per part."""
    from ued_core.data import load_split
    from ued_core.studies.estimate import UNKNOWN, crafting_cost, estimate, in_all

    crafting, training = None, estimate(spec, known)
    if spec.attack is not None and spec.attack.needs_whole_set and spec.poison_rate > 0:
        crafting = crafting_cost(spec.attack, load_split(spec.dataset, _context(0, "cpu")).train, spec.attack_seed)
    told = [
        crafting.sentence() if crafting else "",
        training.sentence(1) if training else UNKNOWN,
        in_all(crafting, training),
    ]
    return [line for line in told if line]


def _expected(spec: Any) -> list[str]:
    """What stored runs let expect of a defence that may do nothing, one line a defence."""
    from ued_core.results import staged
    from ued_core.results.measured import stored

    if staged.method_of(spec.to_json()) is None:
        return []
    return [staged.expectation(stored(staged.FILE), spec.to_json()).replace("**", "")]


def list_runs(options: argparse.Namespace) -> int:
    """All runs, newest first."""
    from ued_core import runs

    records = runs.runs()
    runs.attend(records)
    if options.json:
        # One run a line: with indents, thousands of runs take a second.
        print("[\n" + ",\n".join(json.dumps(r.to_json()) for r in records) + "\n]")
        return 0
    if not records:
        print("No runs yet. Queue one: python -m ued_core train SPEC.json")
    for r in records:
        last = "      " if r.last is None else f"{100 * r.last:5.1f}%"
        print(
            f"{r.id}  {r.state:<11} {r.epoch or 0:>4}/{r.epochs or '?':<4} {last}  {r.title}"
            + ("  (damaged)" if r.damaged else "")
        )
    return 0


def show_run(options: argparse.Namespace) -> int:
    """Everything about one run."""
    from ued_core import runs

    record = runs.run(options.id)
    runs.attend([record])
    folder = runs.folder(record.id)
    if options.json:
        extra = {"history": folder.history(), "result": folder.result(), "error": folder.error()}
        print(json.dumps({**record.to_json(), **extra}, indent=2))
        return 0
    for name, value in record.to_json().items():
        if name not in ("spec", "damaged") and value is not None:
            print(f"{name:<15} {value}")
    for wrong in record.damaged:
        print(f"damaged         {wrong}")
    for line in folder.log_tail(options.lines).splitlines() if options.lines else ():
        print(f"log             {line}")
    return 0


def cancel(options: argparse.Namespace) -> int:
    """Stop a queued or running run."""
    from ued_core import runs

    runs.cancel(options.id)
    print(f"{runs.run(options.id).id}: cancel requested")
    return 0


def stop_crafting(options: argparse.Namespace) -> int:
    """End the crafting of a running run, and train with what is there."""
    from ued_core import runs

    runs.stop_crafting(options.id)
    print(f"{runs.run(options.id).id}: crafting ends after the part that it is in")
    return 0


def resume(options: argparse.Namespace) -> int:
    """Continue an interrupted, cancelled or failed run from its checkpoint."""
    from ued_core import runs

    runs.resume(options.id)
    run_id = runs.run(options.id).id
    print(f"{run_id}: queued again")
    return _follow(run_id) if options.wait else 0


def _follow(run_id: str) -> int:
    from ued_core import runs

    progress = Progress()
    while True:
        record = runs.run(run_id)
        if record.over:
            break
        runs.attend([record])
        if record.fraction:
            progress(record.fraction, 1.0, f"epoch {record.epoch or 0} of {record.epochs}")
        time.sleep(0.3)
    progress.close()
    notes = ((runs.folder(run_id).result() or {}).get("data") or {}).get("notes") or []
    for note in notes:
        progress.note(note)
    if record.last is None:
        print(record.state)
        return 1
    from ued_core.data.base import NOT_CLEAN

    kind = (
        "NOT CLEAN test accuracy" if any(str(note).startswith(NOT_CLEAN) for note in notes) else "clean test accuracy"
    )
    print(f"{record.state}: {kind} {record.last:.4f}")
    return 0 if record.state == "finished" else 1


def storage(options: argparse.Namespace) -> int:
    """What lies below the home and how much room it takes; what was removed to stay within the limit."""
    from ued_core.data.room import DEFAULT_GB, VARIABLE, gigabytes
    from ued_core.home import home
    from ued_core.runs.storage import areas, removals

    found, gone = areas(), removals()
    if options.json:
        told = {"home": str(home()), "areas": [area._asdict() for area in found], "removed": gone}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return 0
    print(home())
    for area in found:
        most = "" if area.limit is None else f" of {gigabytes(area.limit)}"
        print(f"  {area.name:<12} {gigabytes(area.bytes):>9}{most:<10} {area.entries:>6,} entries  {area.words}")
    print(f"What has a limit gives way to newer things; {VARIABLE} sets it, {DEFAULT_GB:g} when left out.")
    for row in gone:
        print(
            f"removed {time.strftime('%Y-%m-%d %H:%M', time.localtime(row['time']))}  {gigabytes(row['bytes']):>9}  "
            f"{row['path']}"
        )
    return 0


class Progress:
    """One line on standard error with a time estimate, only for people (a terminal)."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.shown = 0.0
        self.wide = sys.stderr.isatty()
        self.noted: set[str] = set()

    def __call__(self, done: float, total: float, text: str) -> None:
        now = time.monotonic()
        if not self.wide or now - self.shown < 0.2:
            return
        self.shown = now
        left = f", {(now - self.began) * (total - done) / done:.0f} s left" if done > 0 else ""
        print(f"\r\x1b[K{100 * done / max(total, 1e-9):3.0f} % {text}{left}", end="", file=sys.stderr, flush=True)

    def note(self, note: str) -> None:
        """What was skipped or changed; for programs that read standard error too."""
        if note not in self.noted:
            self.noted.add(note)
            print(f"{chr(13) + chr(27) + '[K' if self.wide else ''}note: {note}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self.wide and self.shown:
            print(file=sys.stderr)


# ---------------------------------------------------------------- the parser


def _seed(text: str) -> int:
    from ued_core.params import LARGEST_SEED

    if not text.isdigit() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} given, but a seed is a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _classes(text: str) -> tuple[int, ...] | None:
    from ued_core.attacks.base import read_classes

    try:
        return read_classes(text)
    except ParameterError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _at_least(smallest: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        if not text.isdigit() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} given, but it must be a whole number of at least {smallest}")
        return int(text)

    return convert


def _data_options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    _dataset_options(parser, argv, required=True)
    parser.add_argument("--seed", type=_seed, default=0, help="the private key, or the seed of the draws")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", required=True, metavar="OUT.npz")


def _dataset_options(parser: argparse.ArgumentParser, argv: Sequence[str], required: bool, what: str = "") -> None:
    """``--data`` and ``--part``, and the options of the data set that is named or lies at the path."""
    from ued_core.data import DATASETS

    where = "the path of an npz, IDX or Parquet file, or of a folder of images"
    parser.add_argument(
        "--data",
        required=required,
        metavar="NAME|PATH",
        help=f"{what}a data set ({', '.join(DATASETS)}), or {where}; a file counts whole",
    )
    parser.add_argument(
        "--part", choices=("train", "test"), default="train", help="which part of a data set that has two"
    )
    if name := _option(argv, "--data"):
        add_options(parser, _dataset(name), "data-", () if name in DATASETS else ("path",))


def _inspect_options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    from ued_core.data.poison_files import FORMATS, IMAGE_SCALES, NOISE_SCALES

    _dataset_options(
        parser, argv, required=False, what="the clean images that it is for, then its loaders are compared: "
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="", help="take the file for this")
    parser.add_argument("--content", choices=("noise", "images"), default="", help="take the values for this")
    parser.add_argument("--layout", choices=("NCHW", "NHWC"), default="", help="order of the axes")
    parser.add_argument(
        "--scale", choices=(*NOISE_SCALES, *IMAGE_SCALES), default="", metavar="UNIT", help="unit of the values"
    )
    parser.add_argument(
        "--per", choices=("sample", "class", "cluster", "pool"), default="", help="what one entry is for"
    )
    parser.add_argument("--radius", type=float, default=None, help="clip the noise to this many 1/255 first")
    parser.add_argument("--json", action="store_true")


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; the options of the chosen method are added to its command."""
    command = next((a for a in argv if not a.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="python -m ued_core", description=(__doc__ or "").split("\n\n")[0], allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, action: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=action.__doc__, description=action.__doc__, allow_abbrev=False)
        made.set_defaults(action=action)
        return made

    add("methods", methods).add_argument("--json", action="store_true")

    p = add("poison", poison)
    p.add_argument("attack", metavar="ATTACK")
    if command == "poison":
        p.add_argument("--poison-rate", type=float, default=1.0, help="share of the images that are poisoned, 0 to 1")
        p.add_argument(
            "--poison-classes",
            type=_classes,
            metavar="0,3,5-7",
            help="numbers of the classes that are poisoned; default all",
        )
        _data_options(p, argv)
        if method := _known(argv, catalogues()["attacks"]):
            add_options(p, method)

    p = add("defend", defend)
    p.add_argument("defense", metavar="DEFENCE")
    if command == "defend":
        _data_options(p, argv)
        if method := _known(argv, catalogues()["defenses"]):
            add_options(p, method)

    p = add("data", write_data)
    if command == "data":
        _dataset_options(p, argv, required=True)
        p.add_argument("--out", required=True, metavar="OUT.npz")

    p = add("inspect", inspect)
    p.add_argument(
        "file",
        metavar="FILE",
        help="a .pt, .pth, .pkl, .npy, .npz or .safetensors file; a zip or folder of PNG or .pth files",
    )
    if command == "inspect":
        _inspect_options(p, argv)

    p = add("export", export)
    p.add_argument("spec", metavar="SPEC.json")
    p.add_argument(
        "--to", required=True, choices=("npz", "folder", "em"), help="npz, a zip of PNG files, or EM's perturbation.pt"
    )
    p.add_argument("out", metavar="OUT")

    p = add("theta", theta)
    if command == "theta":
        p.add_argument("--attack", default="cuda", metavar="ATTACK")
        p.add_argument("--seed", type=_seed, default=0, help="the private key; also seeds the sample")
        p.add_argument("--strength", type=float, default=2.0, help="COIN's α in pixels")
        p.add_argument("--samples", type=_at_least(1), default=50, help="matrices per class")
        p.add_argument("--boundary", choices=("periodic", "scipy_wrap"), default="periodic")
        p.add_argument("--size", type=_at_least(2), default=32, help="side length of the images")
        p.add_argument("--classes", type=_at_least(2), default=10)
        p.add_argument("--json", action="store_true")
        add_options(p, catalogues()["attacks"][_option(argv, "--attack") or "cuda"])

    p = add("train", train)
    p.add_argument("spec", metavar="SPEC.json")
    p.add_argument("--wait", action="store_true", help="follow the run until it ends")
    p.add_argument("--dry-run", action="store_true", help="say what crafting and training will take, and start nothing")
    add("runs", list_runs).add_argument("--json", action="store_true")
    p = add("run", show_run)
    p.add_argument("id", metavar="ID")
    p.add_argument("--json", action="store_true")
    p.add_argument("--lines", type=_at_least(0), default=10, help="last lines of the log")
    add("storage", storage).add_argument("--json", action="store_true")
    add("cancel", cancel).add_argument("id", metavar="ID")
    add("stop-crafting", stop_crafting).add_argument("id", metavar="ID")
    p = add("resume", resume)
    p.add_argument("id", metavar="ID")
    p.add_argument("--wait", action="store_true", help="follow the run until it ends")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; see the module's docstring for the exit codes."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A path may hold bytes that are no text, and a terminal may not have every letter.
        stream.reconfigure(errors="backslashreplace")
    try:
        options = build_parser(argv).parse_args(argv)
        return options.action(options)
    except UedError as error:
        print(f"ued_core: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Cancelled):
        print("ued_core: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"ued_core: {error}. Check the path, its permissions and the room on the disk.", file=sys.stderr)
        return 2
    except MemoryError:
        print(
            f"ued_core: {DataError('Not enough memory for this data set.', 'Take fewer or smaller images.')}",
            file=sys.stderr,
        )
        return 2
