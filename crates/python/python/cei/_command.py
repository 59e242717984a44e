"""The command ``cei``."""

from __future__ import annotations

import sys

from cei import _cei


def main() -> None:
    """Run the command of ``sys.argv``, and end the process with its exit code."""
    sys.exit(_cei.command(["cei", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
