"""Tables of any library: what a call is given as ``data`` or momenta."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Optional, Sequence, Union

import numpy as np

from cei import _cei
from cei._watch import level_of_caller
from cei.errors import CeiValueError, CeiWarning

#: A file, a glob of files, or several.
Files = Union[str, "os.PathLike[str]", Sequence[Union[str, "os.PathLike[str]"]]]


def as_files(data: object) -> Optional[list[str]]:
    """The names of files, if ``data`` is some."""
    if isinstance(data, (str, os.PathLike)):
        return [os.fspath(data)]
    if isinstance(data, (list, tuple)) and data:
        if all(isinstance(name, (str, os.PathLike)) for name in data):
            return [os.fspath(name) for name in data]
    return None


def as_table(data: Any) -> Optional[_cei.Table]:
    """A table with named columns of any library; ``None`` for what has no names."""
    if isinstance(data, _cei.Table):
        return data
    columns = getattr(data, "columns_by_name", None)
    if callable(columns):
        return _of_columns(columns())
    if isinstance(data, Mapping):
        return _of_columns(data)
    if isinstance(data, np.ndarray):
        names = data.dtype.names
        return None if names is None else _of_columns({name: data[name] for name in names})
    if hasattr(data, "__arrow_c_stream__"):
        try:
            return _of_stream(data.__arrow_c_stream__())
        except ImportError:
            # pandas needs pyarrow for that; its columns are as good.
            pass
    elif hasattr(data, "__arrow_c_array__"):
        return _of_stream(_stream_of_array(data))
    if hasattr(data, "columns") and hasattr(data, "__getitem__"):
        return _of_columns({str(name): data[name] for name in data.columns})
    return None


def of_arrays(x: Any, y: Any, x_names: Sequence[str], y_names: Sequence[str]) -> _cei.Table:
    """A table of positions and momenta, in the order of these names."""
    x, y = as_matrix(x, len(x_names), "positions"), as_matrix(y, len(y_names), "momenta")
    columns = dict(zip(x_names, x.T))
    columns.update(zip(y_names, y.T))
    return _of_columns(columns)


def as_matrix(values: Any, width: int, what: str) -> np.ndarray:
    """Rows of ``width`` numbers, double precision, row by row in memory; no copy where they are that already."""
    try:
        matrix = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise CeiValueError(
            f"{what} are {type(values).__name__}, but must be an array, a table or a file: {error}"
        ) from None
    if matrix.ndim == 1 and matrix.size == width:
        matrix = matrix[np.newaxis]
    if matrix.ndim != 2 or matrix.shape[1] != width:
        raise CeiValueError(f"{what} have the shape {matrix.shape}, but must be (rows, {width})")
    return np.ascontiguousarray(matrix)


@contextmanager
def as_file(table: _cei.Table) -> Iterator[list[str]]:
    """A file of a table, as long as it is needed."""
    with TemporaryDirectory(prefix="cei-") as folder:
        path = Path(folder) / "table.parquet"
        table.write(path)
        yield [os.fspath(path)]


def _of_columns(columns: Mapping[Any, Any]) -> _cei.Table:
    return _cei.Table([(str(name), _cells(name, values)) for name, values in columns.items()])


def _cells(name: object, values: Any) -> Any:
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():
        values = np.ma.filled(values.astype(np.float64), np.nan)
    array = np.asarray(values)
    if array.ndim != 1:
        raise CeiValueError(
            f"column `{name}` has the shape {array.shape}, but a column is one number a row\n"
            "hint: give each of its components a column of its own"
        )
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, dtype=np.float64)
    if array.dtype.kind in "bi" or (array.dtype.kind == "u" and array.dtype.itemsize < 8):
        return np.ascontiguousarray(array, dtype=np.int64)
    if array.dtype.kind == "u":
        return np.ascontiguousarray(array, dtype=np.float64)
    return [None if value is None else str(value) for value in array.tolist()]


def _of_stream(capsule: Any) -> _cei.Table:
    import warnings

    table = _cei.Table.of_stream(capsule)
    for name, kind in table.left_out:
        text = f"column `{name}` is left out: its type {kind} is neither a number nor text"
        warnings.warn(text, CeiWarning, stacklevel=level_of_caller())
    return table


def _stream_of_array(data: Any) -> Any:
    """A stream of one batch, for the few that have only that."""
    import importlib

    # Whoever makes such batches has the library that turns them into streams.
    pyarrow = importlib.import_module("pyarrow")
    return pyarrow.Table.from_batches([pyarrow.record_batch(data)]).__arrow_c_stream__()
