"""Configurations: the name of a preset, a file, or a dictionary."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Optional, Union

from cei.errors import CeiValueError

#: The name of a preset, the path of a TOML file, or a dictionary of what would stand in one.
Config = Union[str, "os.PathLike[str]", Mapping[str, Any]]


def given(config: Config, changes: Optional[Mapping[str, Any]] = None) -> dict[str, Any]:
    """What the extension takes."""
    overrides = [f"{key}={value}" for key, value in _flat(changes or {}, "")]
    kind, value = _of(config)
    return {"kind": kind, "value": value, "overrides": overrides}


def _of(config: Config) -> tuple[str, str]:
    if isinstance(config, Mapping):
        return "json", json.dumps(_without_none(config), default=_plain)
    if isinstance(config, os.PathLike):
        return "file", os.fspath(config)
    if not isinstance(config, str):
        raise CeiValueError(
            f"a configuration is the name of a preset, a file or a dictionary, not {type(config).__name__}"
        )
    # As `source.simulator` has it: a file has an extension or a folder, a preset has neither.
    is_file = os.path.exists(config) or os.path.splitext(config)[1] or os.path.basename(config) != config
    return ("file" if is_file else "preset"), config


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def _flat(changes: Mapping[str, Any], prefix: str) -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for key, value in changes.items():
        if isinstance(value, Mapping):
            flat += _flat(value, f"{prefix}{key}.")
        else:
            flat.append((f"{prefix}{key}", _toml(value)))
    return flat


def _toml(value: Any) -> str:
    """A value as TOML has it in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy, and paths."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise CeiValueError(f"`{value!r}` cannot stand in a configuration")


def numbers(value: Any) -> Any:
    """A report of the program, in which infinities and NaN are text."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [numbers(item) for item in value]
    return (
        {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}.get(value, value)
        if isinstance(value, str)
        else value
    )
