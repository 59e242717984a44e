"""What can go wrong. The texts are those of the command line; their last lines, ``hint: ...``, say what to do."""

from __future__ import annotations


class CeiError(Exception):
    """Something that failed."""

    @property
    def hints(self) -> list[str]:
        """What to do about it."""
        lines = str(self).splitlines()
        return [line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")]


class CeiValueError(CeiError, ValueError):
    """An argument of a wrong shape, or out of its range."""


class ConfigError(CeiError, ValueError):
    """A configuration, preset or device that cannot be used; names the key."""


class DataError(CeiError, ValueError):
    """A table that cannot be used; names row and column."""


class RunFolderError(CeiError):
    """A run folder without a usable model, or one that would be overwritten."""


class NotPossibleError(CeiError):
    """Something that this run cannot do: a density of a CVAE, a refinement without a known simulation."""


class CeiWarning(UserWarning):
    """What must be known before results are believed."""
