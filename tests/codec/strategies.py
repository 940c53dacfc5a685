"""Hypothesis strategies for items."""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tests.codec import examples

_ZONES = st.sampled_from(
    [
        None,
        UTC,
        timezone(timedelta(hours=5, minutes=30)),
        timezone(timedelta(0), "zero"),
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("America/New_York"),
    ]
)

atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(),
    st.complex_numbers(allow_nan=True),
    st.text(),
    st.text(st.characters(categories=["Cs", "Ll"])),
    st.binary(),
)

_hashables = st.recursive(
    st.one_of(
        atoms,
        st.dates(),
        st.times(timezones=_ZONES),
        st.datetimes(timezones=_ZONES),
        st.timedeltas(),
        st.decimals(allow_nan=False),
        st.uuids(),
        st.sampled_from([*examples.Color, *examples.Level, ~examples.Rights.READ]),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner),
        st.frozensets(inner, max_size=3),
        st.builds(examples.Pair, inner, inner),
        st.builds(examples.Frozen, inner),
    ),
    max_leaves=4,
)


@st.composite
def _hashable(draw: st.DrawFn) -> object:
    return draw(_hashables)


# By way of a function, since Hypothesis writes out what strategies are made of.
hashables = _hashable()

dtypes = st.one_of(
    npst.scalar_dtypes(),
    npst.array_dtypes(max_size=3),
    npst.nested_dtypes(max_itemsize=200),
    npst.byte_string_dtypes(max_len=5),
    npst.unicode_string_dtypes(max_len=5),
).filter(lambda dtype: not dtype.hasobject and dtype.itemsize > 0)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays of any dtype, shape and layout; what is in them is any bytes."""
    dtype = draw(dtypes)
    if dtype.subdtype is not None:
        dtype = dtype.subdtype[0]
    shape = draw(npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    size = int(np.prod(shape)) * dtype.itemsize
    seed = draw(st.integers(0, 2**32 - 1))
    if dtype.kind in "U" or dtype.names is not None:
        raw = bytes(size)  # any bytes are no text
    else:
        raw = np.random.default_rng(seed).bytes(size)
    array = np.ndarray(shape, dtype, raw).copy()
    if dtype.kind == "b":
        array = np.asarray(array.view("u1") % 2 == 1)
    how = draw(st.sampled_from(["as is", "transposed", "reversed", "strided"]))
    if how == "transposed":
        return array.T
    if array.ndim and how != "as is":
        return array[:: -1 if how == "reversed" else 2]
    return array


items = st.recursive(
    st.one_of(hashables, arrays(), st.binary().map(bytearray), st.sets(hashables, max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(hashables, inner, max_size=4),
        st.builds(examples.Sample, inner, inner),
        st.builds(examples.FrozenSlotted, inner),
        st.builds(examples.Point, inner),
    ),
    max_leaves=8,
)
