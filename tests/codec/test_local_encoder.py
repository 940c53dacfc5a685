"""Items between processes of one machine: pickled by C, with what they are made of in the memo."""

from __future__ import annotations

import copyreg
import functools
import gc
import importlib.util
import sys
import threading
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from minipipe.codec import ATOMS, Decoder, Encoder, LocalEncoder, Parcel, Unreadable
from minipipe.codec.beside import IN_BAND_BYTES
from minipipe.codec.preset import LIMIT
from minipipe.errors import ItemTypeError, WireFormatError
from tests.codec import examples, strategies
from tests.codec.sameness import same


def parcel_of(encoder: Encoder, items: list[Any]) -> Parcel:
    return encoder.encode(
        [item if type(item) in ATOMS else encoder.snapshot(item)[0] for item in items]
    )


def received(parcel: Parcel, decoder: Decoder, *, each: bool = False) -> list[Any]:
    for token, definition in parcel.classes.items():
        decoder.define(token, definition)
    # Transient memory, as ZeroMQ's: it is overwritten before anybody looks at the items.
    body = bytearray(parcel.body)
    frames = [bytearray(frame) for frame in parcel.frames]
    arrived = decoder.decode(memoryview(body), [memoryview(f) for f in frames], each=each)
    for memory in (body, *frames):
        memory[:] = b"\xff" * len(memory)
    return arrived


def trip(*items: Any) -> list[Any]:
    return received(parcel_of(LocalEncoder(), list(items)), Decoder())


@given(strategies.items)
def test_any_item_arrives_as_it_left(item: Any) -> None:
    assert same([item], trip(item))


@given(strategies.items, strategies.items)
def test_items_of_any_kinds_share_a_parcel(one: Any, other: Any) -> None:
    items = [one, 7, [other], None, one]
    assert same(items, trip(*items))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(20)[::3],
        np.array(3.5),
        np.zeros((0, 3)),
        np.zeros(3, "M8[s]"),
        np.zeros(3, [("a", "f4"), ("b", "i8")]),
        np.zeros(2, "S0"),
        np.zeros((2, 3), ">U1")[::-1],
        np.zeros((2, 3), "M8[s]").T,
        np.arange(4, dtype=">i4"),
        np.ones((200, 300)),
        np.asfortranarray(np.ones((200, 300), "M8[s]")),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
@pytest.mark.parametrize("is_read_only", [False, True])
def test_an_array_arrives_writable_and_once_wherever_it_stands(
    array: Any, is_read_only: bool
) -> None:
    array = array.copy("K")
    array.flags.writeable = not is_read_only
    ((first, (second,)),) = trip((array, [array]))
    assert same(array, first) and first is second
    assert first.flags.writeable and first.flags.fnc == array.flags.fnc


def test_what_is_shared_inside_of_an_item_is_shared_on_arrival() -> None:
    part = {"a": [1]}
    (arrived,) = trip([part, part, examples.Plain(part)])
    assert arrived[0] is arrived[1] is arrived[2].data


def test_later_changes_of_an_item_do_not_reach_what_was_sent() -> None:
    item = {"array": np.zeros(3), "large": np.zeros(IN_BAND_BYTES), "bytes": bytearray(100_000)}
    encoder = LocalEncoder()
    token, _ = encoder.snapshot(item)
    for part in item.values():
        part[0] = 1  # type: ignore[index]
    item.clear()
    ((arrived),) = received(encoder.encode([token]), Decoder())
    assert [part[0] for part in arrived.values()] == [0, 0, 0]


def test_nothing_of_an_item_is_kept_when_it_is_pickled() -> None:
    encoder = LocalEncoder()
    items = [examples.Plain(1), examples.Plain(np.zeros(IN_BAND_BYTES)), examples.Locked()]
    alive = [weakref.ref(item) for item in items]
    for item in items[:2]:
        encoder.snapshot(item)
    with pytest.raises(ItemTypeError):
        encoder.snapshot(items[2])
    del items, item
    gc.collect()
    assert [one() for one in alive] == [None] * 3


@pytest.mark.parametrize("kind", [bytes, lambda n: "ü" * (n // 2), bytearray])
@pytest.mark.parametrize("size", [10_000, 70_000, 1_000_000])
def test_large_texts_arrive(kind: Callable[[int], Any], size: int) -> None:
    item = {"data": kind(size), "more": [kind(size), 3]}
    assert same([item, item], trip(item, item))


def test_large_bytes_are_sent_from_where_they_are() -> None:
    data = bytes(1_000_000)
    parcel = parcel_of(LocalEncoder(), [{"data": data, "label": 3}])
    assert any(frame is data for frame in parcel.frames)


def test_a_parcel_of_small_records_has_no_names_of_classes() -> None:
    items = [(examples.Sample(i), datetime(2026, 1, 1, tzinfo=UTC), np.ones(2)) for i in range(50)]
    parcel = parcel_of(LocalEncoder(), items)
    assert parcel.body.count(b"Sample") == 1 and parcel.body.count(b"datetime:datetime") == 1
    assert same(items, received(parcel, Decoder()))


# ------------------------------------------------------------------ classes and functions
def classes_of_a_script(count: int) -> list[Any]:
    made = []
    for number in range(count):
        cls = namedtuple(f"Of{number}", ["number", "array"])  # type: ignore[misc]
        cls.__module__ = "__main__"
        made.append(cls)
    return made


def test_classes_of_a_script_travel_by_definition() -> None:
    class Plain(examples.Plain):
        pass

    class Meta(type):
        pass

    class WithMeta(metaclass=Meta):
        pass

    items = [Plain(3), {"class": Plain}, WithMeta(), WithMeta]
    encoder = LocalEncoder()
    parcel = parcel_of(encoder, items)
    assert parcel.classes
    plain, of_class, with_meta, cls = received(parcel, Decoder())
    assert type(plain) is of_class["class"] is Plain and plain.data == 3
    assert type(with_meta) is cls is WithMeta


@pytest.mark.parametrize("count", [LIMIT - 3, 3 * LIMIT])
def test_one_item_may_be_made_of_many_classes_of_a_script(count: int) -> None:
    item = [cls(number, np.ones(2)) for number, cls in enumerate(classes_of_a_script(count))]
    for arrived in trip(item, item):
        assert [type(one) for one in arrived] == [type(one) for one in item]
        assert [one.number for one in arrived] == list(range(count))


def test_a_stream_may_go_through_many_classes_of_a_script() -> None:
    encoder, decoder = LocalEncoder(), Decoder()
    items = [cls(number, np.ones(2)) for number, cls in enumerate(classes_of_a_script(5 * LIMIT))]
    parcel = parcel_of(encoder, [*items, np.ones(3), "text", *reversed(items)])
    arrived = received(parcel, decoder)
    assert [one.number for one in arrived[: len(items)]] == list(range(len(items)))
    assert [type(one) for one in arrived[len(items) + 2 :]] == [type(one) for one in items[::-1]]
    del parcel, arrived
    alive = [weakref.ref(type(item)) for item in items]
    del items
    gc.collect()
    assert sum(cls() is not None for cls in alive) <= 2 * LIMIT + 64


def of_this_module(x: int) -> int:
    return x + 1


def test_functions_arrive_by_name_or_by_value() -> None:
    y = 3
    items = [of_this_module, lambda x: x + y, functools.partial(of_this_module, 4), [np.mean]]
    named, by_value, partial, (mean,) = trip(*items)
    assert named is of_this_module and by_value(4) == 7 and partial() == 5 and mean is np.mean


def test_what_a_script_defines_does_not_travel_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def function() -> int:
        return 3

    monkeypatch.setattr(function, "__module__", "__main__")
    monkeypatch.setattr(function, "__qualname__", "function")
    monkeypatch.setattr(sys.modules["__main__"], "function", function, raising=False)
    parcel = parcel_of(LocalEncoder(), [[function, 1]])
    monkeypatch.delattr(sys.modules["__main__"], "function")
    (((arrived, _)),) = received(parcel, Decoder())
    assert arrived() == 3


@pytest.fixture
def hidden(tmp_path: Path) -> Iterator[ModuleType]:
    """A module under a name that no other process finds it by."""
    path = tmp_path / "somewhere.py"
    path.write_text("def function(): return 5\nclass Kind: pass\n")
    spec = importlib.util.spec_from_file_location("a_name_made_up", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_what_is_of_a_module_that_others_do_not_find_travels_by_value(hidden: Any) -> None:
    parcel = parcel_of(LocalEncoder(), [[hidden.function], hidden.Kind(), [hidden.Kind]])
    del sys.modules[hidden.__name__]
    (function,), instance, (kind,) = received(parcel, Decoder())
    sys.modules[hidden.__name__] = hidden
    assert function() == 5 and type(instance) is kind


class Forwards:
    """Asks what it forwards to for whatever it does not have itself."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_one_that_forwards_to_another_is_not_asked_before_it_is_whole() -> None:
    (arrived,) = trip(Forwards([1, 2]))
    assert type(arrived) is Forwards and arrived.count(2) == 1


def test_what_is_made_of_functions_of_cython_is_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    encoder = LocalEncoder()

    def never(self: Any, item: object) -> Any:
        raise AssertionError("it goes the slow way")

    monkeypatch.setattr(Encoder, "_encoded", never)
    parcel = parcel_of(encoder, [frame])
    (arrived,) = received(parcel, Decoder())
    assert arrived.equals(frame) and list(arrived.dtypes) == list(frame.dtypes)


# ------------------------------------------------------------------ what fails
def test_an_item_that_cannot_be_made_again_does_not_keep_the_others_from_it() -> None:
    encoder, decoder = LocalEncoder(), Decoder()
    large = np.ones(IN_BAND_BYTES)
    bad = [examples.BadArrival(), [examples.BadArrival(), large]]
    for items in ([1, bad[0], {"a": 2}], [{"a": 1}, bad[0], {"a": 2}], [[large], bad[1], [large]]):
        parcel = parcel_of(encoder, items)
        found = received(parcel, decoder, each=True)
        assert same([items[0], items[2]], [found[0], found[2]]) and decoder.failed
        assert type(found[1]) is Unreadable
        assert isinstance(found[1].error.__cause__, ZeroDivisionError)
        assert "ZeroDivisionError: while unpickling" in str(found[1].error)
        with pytest.raises(WireFormatError, match="while unpickling"):
            received(parcel, decoder)


class Picky:
    def __reduce__(self) -> Any:
        return int, ("no number",)


class NeedsMore:
    def __new__(cls, more: int) -> Any:
        return object.__new__(cls)

    def __reduce__(self) -> Any:
        return copyreg.__newobj__, (NeedsMore,)  # type: ignore[attr-defined]


class Unfit:
    __slots__ = ("a",)

    def __reduce__(self) -> Any:
        return copyreg.__newobj__, (Unfit,), {"b": 1}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("item", "what"), [(Picky(), "builtins.int"), (NeedsMore(1), "NeedsMore"), (Unfit(), "Unfit")]
)
@pytest.mark.parametrize("around", [lambda item: item, lambda item: [item, bytes(300_000)]])
def test_the_error_names_what_could_not_be_made(
    item: Any, what: str, around: Callable[[Any], Any]
) -> None:
    (found,) = received(parcel_of(LocalEncoder(), [around(item)]), Decoder(), each=True)
    assert what in str(found.error)


def test_a_class_that_cannot_be_found_is_the_failure_of_its_items_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = [examples.Plain(1), {"a": 1}, examples.Frozen(2)]
    parcel = parcel_of(LocalEncoder(), items)
    monkeypatch.delattr(examples, "Frozen")
    found = received(parcel, Decoder(), each=True)
    assert found[0].data == 1 and found[1] == {"a": 1}
    assert "Frozen" in str(found[2].error) and "is not known here" in str(found[2].error)


@pytest.mark.parametrize(
    "item",
    [
        {"x": [1, 2, threading.Lock()]},
        [examples.Sample({"a": threading.Lock()})],
        [(i for i in ())],
        [memoryview(b"x")],
        [1, examples.Explosive()],
        [examples.Locked()],
    ],
    ids=[
        "lock",
        "lock in a dataclass",
        "generator",
        "memoryview",
        "what explodes",
        "what is locked",
    ],
)
def test_what_cannot_be_sent_is_said_as_anywhere(item: Any) -> None:
    with pytest.raises(ItemTypeError) as expected:
        Encoder().snapshot(item)
    encoder = LocalEncoder()
    with pytest.raises(ItemTypeError) as caught:
        encoder.snapshot(item)
    assert str(caught.value) == str(expected.value)
    assert same([[1, [2]]], received(parcel_of(encoder, [[1, [2]]]), Decoder()))


class Stopped(BaseException):
    pass


class Stops:
    def __reduce__(self) -> Any:
        raise Stopped


def test_an_item_that_is_broken_off_leaves_nothing_to_the_next_one() -> None:
    encoder = LocalEncoder()
    with pytest.raises(Stopped):
        encoder.snapshot([bytes(100_000), np.zeros(IN_BAND_BYTES), Stops()])
    item = {"array": np.ones(IN_BAND_BYTES), "text": "x" * 100_000}
    assert same([item], received(parcel_of(encoder, [item]), Decoder()))


@pytest.mark.parametrize(
    "items", [[[1]], [[1], 2], [[bytes(100_000)]]], ids=["one", "two", "large"]
)
def test_a_decoder_that_allows_no_pickles_refuses_all_that(items: list[Any]) -> None:
    parcel = parcel_of(LocalEncoder(), items)
    with pytest.raises(WireFormatError, match="holds a pickle"):
        Decoder(allow_pickle=False).decode(parcel.body, parcel.frames)
