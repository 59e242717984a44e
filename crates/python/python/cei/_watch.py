"""Progress and warnings of long calls."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any, Callable, Union

from cei.errors import CeiWarning

#: ``None`` shows progress in a terminal and in a notebook; a function is told (done, total, text).
Progress = Union[bool, None, Callable[[int, int, str], object]]

#: Seconds before anything is shown.
_PATIENCE = 1.0


class Watch:
    """Is told by the extension how far a call is, and what there is to say.

    A bar is one of ``tqdm`` where that is installed, and otherwise a line that is written anew. Nothing is shown of
    calls that take less than a second.
    """

    def __init__(self, what: str, progress: Progress = None) -> None:
        self._what = what
        self._function = progress if callable(progress) else None
        self._shown = progress is True or (progress is None and _is_watched())
        self._begun = time.monotonic()
        self._bar: Any = None
        self._line = 0

    def progress(self, done: int, total: int, text: str) -> None:
        """So many of all are done."""
        if self._function is not None:
            self._function(done, total, text)
        elif self._shown and (self._bar or time.monotonic() - self._begun > _PATIENCE):
            self._show(done, total, text)

    def warn(self, text: str) -> None:
        """Something to be known."""
        warnings.warn(text.removeprefix("warning: "), CeiWarning, stacklevel=level_of_caller())

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        if self._line:
            sys.stderr.write("\r" + " " * self._line + "\r")
        elif self._bar not in (None, True):
            self._bar.close()

    def _show(self, done: int, total: int, text: str) -> None:
        if self._bar is None:
            try:
                from tqdm.auto import tqdm  # type: ignore[import-untyped,unused-ignore]
            except ImportError:
                self._bar = True
            else:
                self._bar = tqdm(desc=self._what, total=total, leave=False)
        if self._bar is True:
            seconds = time.monotonic() - self._begun
            left = f", {seconds * (total - done) / done:.0f} s left" if done else ""
            line = f"{self._what}: {done}/{total}{left}  {text}"[:100]
            sys.stderr.write("\r" + line.ljust(self._line))
            sys.stderr.flush()
            self._line = len(line)
        else:
            self._bar.total = total
            self._bar.set_postfix_str(text, refresh=False)
            self._bar.update(done - self._bar.n)


def level_of_caller() -> int:
    """How far up the stack, from who calls this, the code is that has called the package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("cei."):
        level, frame = level + 1, frame.f_back
    return level


def _is_watched() -> bool:
    """Whether somebody looks on: a terminal, or a notebook."""
    if "ipykernel" in sys.modules:
        return True
    return sys.stderr is not None and sys.stderr.isatty()
