"""The same work without a browser: ``python -m ued_core …``.

Options are derived from the declarations of the methods. Results go to standard output,
everything else to standard error. Exit codes: 0 done, 1 a run ended badly, 2 the input was
wrong, 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from ued_core.cli.options import catalogues
from ued_core.cli.parser import build_parser
from ued_core.errors import Cancelled, DataError, UedError

__all__ = ["catalogues", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; see the module's docstring for the exit codes."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        # A path may hold bytes that are no text, and a terminal may not have every letter.
        if isinstance(stream, io.TextIOWrapper):
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
