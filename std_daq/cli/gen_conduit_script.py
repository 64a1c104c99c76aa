"""The command ``gen-conduit-script``: writes the script that ``run-conduit`` is, to edit and run."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from std_daq.cli import run_conduit
from std_daq.errors import EXIT_DONE, EXIT_FAILED


def main(argv: Sequence[str] | None = None) -> int:
    """Write the script, and return the exit code; a file that is there is left as it is."""
    parser = argparse.ArgumentParser(description="Write the script that run-conduit is, to edit and run.")
    parser.add_argument("path", type=Path, metavar="PATH", help="a new file")
    path: Path = parser.parse_args(argv).path
    try:
        with path.open("x") as script:
            script.write(Path(run_conduit.__file__).read_text())
    except FileExistsError:
        print(f"{parser.prog}: {path} exists; give a new name", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"{parser.prog}: {path} cannot be written: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    print(f"{path}: edit it, and run it: python {path}")
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
