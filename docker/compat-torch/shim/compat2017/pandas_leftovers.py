"""What pandas 0.20 had and later versions dropped: ``as_matrix``, ``ix``, and single values by label."""

# ruff: noqa: ANN401 - the removed functions took anything

from __future__ import annotations

from types import ModuleType
from typing import Any


class _Mixed:
    """``ix``: labels where the axis has whole numbers for labels or the key is no number, else positions."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def _positions(self, key: Any, axis: Any) -> Any:
        import numpy as np  # noqa: PLC0415 - pandas has it already
        from pandas.api.types import is_integer_dtype  # noqa: PLC0415

        labels = is_integer_dtype(axis.dtype)
        if isinstance(key, slice):
            ends = [each for each in (key.start, key.stop) if each is not None]
            if ends and (labels or not all(isinstance(each, (int, np.integer)) for each in ends)):
                return axis.slice_indexer(key.start, key.stop, key.step)
            return key
        if isinstance(key, (int, np.integer)) and not labels:
            return int(key)
        if isinstance(key, (str, float, int, np.generic)):
            return axis.get_loc(key)
        wanted = np.asarray(key)
        if wanted.dtype == bool or (wanted.dtype.kind in "iu" and not labels):
            return wanted
        found = axis.get_indexer(list(key))
        if (found < 0).any():
            raise KeyError([each for each, place in zip(key, found, strict=True) if place < 0])
        return found

    def _place(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        return tuple(self._positions(each, axis) for each, axis in zip(keys, self._table.axes, strict=False))

    def __getitem__(self, key: Any) -> Any:
        place = self._place(key)
        return self._table.iloc[place if len(place) > 1 else place[0]]

    def __setitem__(self, key: Any, value: Any) -> None:
        place = self._place(key)
        self._table.iloc[place if len(place) > 1 else place[0]] = value


def as_matrix(self: Any, columns: Any = None) -> Any:
    """The values as an array."""
    return (self if columns is None else self[columns]).to_numpy()


def get_value(self: Any, index: Any, col: Any) -> Any:
    """One value by its labels."""
    return self.at[index, col]


def set_value(self: Any, index: Any, col: Any, value: Any) -> Any:
    """Set one value by its labels."""
    self.at[index, col] = value
    return self


def patch(pandas: ModuleType) -> None:
    """Add what is missing to tables and series."""
    for kind in (pandas.DataFrame, pandas.Series):
        if not hasattr(kind, "ix"):
            kind.ix = property(_Mixed)
        if not hasattr(kind, "as_matrix"):
            kind.as_matrix = as_matrix
        if not hasattr(kind, "iteritems"):
            kind.iteritems = kind.items
    for function in (get_value, set_value):
        if not hasattr(pandas.DataFrame, function.__name__):
            setattr(pandas.DataFrame, function.__name__, function)
