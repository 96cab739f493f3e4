"""The training loop stays readable: a step in at most 15 lines, no function of training/ over 40 lines of code."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from ued_core.training import loop

LONGEST_STEP = 15
LONGEST_FUNCTION = 40
ORDER = ["draw", "outcome", "zero_grad", "backward", "schedule", "step", "add"]
"""What a step calls, in the order in which a reader looks for it."""

LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def code_lines(text: str, node: ast.stmt) -> int:
    """Lines of a statement that hold code: not blank ones, comments or docstrings."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    held = {line for t in tokens if t.type not in LAYOUT for line in range(t.start[0], t.end[0] + 1)}
    for inside in ast.walk(node):
        value = inside.value if isinstance(inside, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            held -= set(range(value.lineno, (value.end_lineno or value.lineno) + 1))
    return len(held & set(range(node.lineno, (node.end_lineno or node.lineno) + 1)))


def functions(text: str) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))


def too_long(text: str, most: int = LONGEST_FUNCTION) -> list[str]:
    """Names and lengths of the functions that are too long."""
    return [f"{f.name}: {count} lines" for f in functions(text) if (count := code_lines(text, f)) > most]


def step_of(text: str) -> ast.For:
    """The loop over the batches of an epoch."""
    (epoch,) = (f for f in functions(text) if f.name == "run_epoch")
    (step,) = (node for node in epoch.body if isinstance(node, ast.For))
    return step


def called(step: ast.For) -> list[str]:
    """The names that a plain step calls, from top to bottom; what stands under an ``if`` is not on its path."""
    plain = [node for node in step.body if not isinstance(node, ast.If)]
    calls = [call for node in plain for call in ast.walk(node) if isinstance(call, ast.Call)]
    names = [(c.lineno, c.func.attr if isinstance(c.func, ast.Attribute) else ast.unparse(c.func)) for c in calls]
    return [name for _, name in sorted(names, key=lambda place: place[0]) if name != "len"]


SOURCE = Path(loop.__file__).read_text(encoding="utf-8")


def test_a_step_is_short_and_in_order() -> None:
    assert code_lines(SOURCE, step_of(SOURCE)) <= LONGEST_STEP
    assert called(step_of(SOURCE)) == ORDER


@pytest.mark.parametrize("path", sorted(Path(loop.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_no_function_is_long(path: Path) -> None:
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_training_steps_backward_in_one_place() -> None:
    """Whoever trains a network in this package does it by way of :func:`ued_core.training.loop.run_epoch`."""
    steps = {p.name for p in Path(loop.__file__).parent.glob("*.py") if "optimizer.step()" in p.read_text("utf-8")}
    assert steps == {"loop.py"}


# ---------------------------------------------------------------- the test can fail

LONG = 'def f():\n    """Words.\n\n    More words.\n    """\n\n    # a comment\n' + "    g(\n        1,\n    )\n" * 3


def test_lines_of_code_are_counted_by_hand() -> None:
    assert code_lines(LONG, next(functions(LONG))) == 10
    assert too_long(LONG, 10) == []
    assert too_long(LONG, 9) == ["f: 10 lines"]


def test_a_method_that_is_too_long_is_found() -> None:
    body = "".join(f"        x = {i}\n" for i in range(LONGEST_FUNCTION))
    assert too_long(f"class A:\n    def f(self):\n{body}") == [f"f: {LONGEST_FUNCTION + 1} lines"]


def test_another_order_is_found() -> None:
    turned = SOURCE.replace("        optimizer.step()\n", "").replace(
        "        outcome.loss.backward()\n", "        optimizer.step()\n        outcome.loss.backward()\n"
    )
    assert turned != SOURCE
    assert called(step_of(turned)) != ORDER
    assert sorted(called(step_of(turned))) == sorted(ORDER)
