"""What leaves arrives, exactly, whatever it is nested in."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.codec.sameness import parcel_trip, same, trip
from tests.codec.strategies import arrays, atoms, items

_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@_SETTINGS
@given(items)
def test_any_item_of_native_types_arrives_as_it_left_without_pickle(item: Any) -> None:
    assert same(item, trip(item))


@_SETTINGS
@given(st.lists(items, max_size=6))
def test_a_parcel_of_mixed_items_arrives_in_order(parcel: list[Any]) -> None:
    assert same(parcel, parcel_trip(parcel))


@_SETTINGS
@given(st.lists(atoms, max_size=20))
def test_a_parcel_of_atoms_arrives_in_order(parcel: list[Any]) -> None:
    assert same(parcel, parcel_trip(parcel))


@_SETTINGS
@given(arrays())
def test_an_array_arrives_writable_aligned_in_its_own_memory_and_layout(array: Any) -> None:
    arrived = trip(array)

    assert same(array, arrived)
    flags = arrived.flags
    assert flags.writeable and flags.aligned and flags.owndata
    assert flags.fnc == array.flags.fnc
    assert flags.c_contiguous or flags.fnc
