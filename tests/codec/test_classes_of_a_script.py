"""Instances of a script's classes arrive as pickle makes them of classes that can be imported."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from types import MemberDescriptorType
from typing import Any

import pytest

from minipipe.codec import Decoder, Encoder
from minipipe.errors import ItemTypeError
from tests.codec.sameness import trip

_SCRIPT = """
import abc, collections, dataclasses, functools, pickle, sys
from typing import Any, Generic, NamedTuple, TypeVar
from minipipe.codec import Encoder, LocalEncoder

T = TypeVar("T")

class Slots:
    __slots__ = ("a", "unset")
    def __init__(self): self.a = 1

class Inherits(Slots):
    __slots__ = ("b",)
    def __init__(self): super().__init__(); self.b = 2

class InheritsWithDict(Slots):
    def __init__(self): super().__init__(); self.b = 2

class OneSlot:
    __slots__ = "a"
    def __init__(self): self.a = 1

class SlotsInADict:
    __slots__ = {"a": "its documentation"}
    def __init__(self): self.a = 1

class Beside:
    __slots__ = ("a", "__dict__", "__weakref__")
    def __init__(self): self.a, self.b = 1, 2

class Private:
    __slots__ = ("__secret",)
    def __init__(self): self.__secret = 1
    @property
    def a(self): return self.__secret

class GenericSlots(Generic[T]):
    __slots__ = ("a",)
    def __init__(self): self.a = 1

class OfGeneric(GenericSlots[int]):
    __slots__ = ()

class ListWithSlots(list):
    __slots__ = ("a",)
    def __init__(self): super().__init__([1, 2]); self.a = 1

class Words(dict):
    def __init__(self): super().__init__(x=1); self.a = 1

class Abstract(abc.ABC):
    __slots__ = ("a",)
    @abc.abstractmethod
    def run(self): ...

class Concrete(Abstract):
    __slots__ = ()
    def __init__(self): self.a = 1
    def run(self): return self.a

class State:
    __slots__ = ("a",)
    def __init__(self): self.a = 1
    def __getstate__(self): return ("state", self.a)
    def __setstate__(self, state): self.a = state[1]

class Reduces:
    __slots__ = ("a",)
    def __init__(self, a): self.a = a
    def __reduce_ex__(self, protocol): return type(self), (self.a,)

class NewArgs:
    __slots__ = ("a",)
    def __new__(cls, *, a):
        made = object.__new__(cls)
        made.a = a
        return made
    def __getnewargs_ex__(self): return (), {"a": self.a}

@dataclasses.dataclass(slots=True)
class Row:
    a: int = 1
    unset: Any = dataclasses.field(init=False)

@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int = 1

@dataclasses.dataclass
class Cell(Generic[T]):
    __slots__ = ("a",)
    a: T

class Pair(NamedTuple, Generic[T]):
    a: T

class Lazy:
    def __init__(self): self.a = 1
    @functools.cached_property
    def twice(self): return 2 * self.a

made = [
    Slots(), Inherits(), InheritsWithDict(), OneSlot(), SlotsInADict(), Beside(), Private(),
    GenericSlots(), OfGeneric(), ListWithSlots(), Words(), Concrete(), State(), Reduces(1),
    NewArgs(a=1), Row(), Frozen(), Cell(1), Pair(1), Lazy(),
]

if __name__ == "__main__":
    sent = {}
    for make in (Encoder, LocalEncoder):
        for item in made:
            encoder = make()
            parcel = encoder.encode([encoder.snapshot(item)[0]])
            frames = [bytes(frame) for frame in parcel.frames]
            name = type(item).__qualname__
            sent[name, make.__name__] = parcel.body, frames, list(parcel.classes.items())
    sys.stdout.buffer.write(pickle.dumps(sent))
"""
NAMES = [
    *("Slots", "Inherits", "InheritsWithDict", "OneSlot", "SlotsInADict", "Beside", "Private"),
    *("GenericSlots", "OfGeneric", "ListWithSlots", "Words", "Concrete", "State", "Reduces"),
    *("NewArgs", "Row", "Frozen", "Cell", "Pair", "Lazy"),
]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a script has sent, by the name of its class and of its encoder's."""
    script = tmp_path_factory.mktemp("script") / "a_script.py"
    script.write_text(_SCRIPT)
    output = subprocess.run(
        [sys.executable, str(script)],
        check=True,
        capture_output=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    return pickle.loads(output.stdout)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same items, of classes that pickle finds by name, from pickle."""
    directory = tmp_path_factory.mktemp("module")
    name = "classes_as_pickle_has_them"
    (directory / f"{name}.py").write_text(_SCRIPT)
    sys.path.insert(0, str(directory))
    try:
        module = __import__(name)
        yield {type(item).__qualname__: pickle.loads(pickle.dumps(item)) for item in module.made}
    finally:
        sys.path.remove(str(directory))
        sys.modules.pop(name, None)


def arrived(sent: Any, name: str, by: str = "LocalEncoder") -> Any:
    body, frames, definitions = sent[name, by]
    decoder = Decoder()
    for token, definition in definitions:
        decoder.define(token, definition)
    (item,) = decoder.decode(body, frames)
    return item


def slots_of(item: Any) -> dict[str, Any]:
    """What is in its slots."""
    return {
        name: getattr(item, name, "unset")
        for base in type(item).__mro__
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    }


@pytest.mark.parametrize("by", ["Encoder", "LocalEncoder"])
@pytest.mark.parametrize("name", NAMES)
def test_it_arrives_as_pickle_makes_it(name: str, by: str, sent: Any, imported: Any) -> None:
    item, expected = arrived(sent, name, by), imported[name]

    assert type(item).__qualname__ == name and item.a == expected.a == 1
    assert getattr(item, "__dict__", None) == getattr(expected, "__dict__", None)
    assert slots_of(item) == slots_of(expected)
    for base in (list, dict, tuple):
        if isinstance(expected, base):
            assert base(item) == base(expected)


@pytest.mark.parametrize("name", ["Slots", "OneSlot", "Private", "Beside"])
def test_what_arrived_goes_on_and_comes_to_a_process_that_has_the_class(
    name: str, sent: Any
) -> None:
    item = trip(arrived(sent, name), allow_pickle=True)
    assert type(item) is type(arrived(sent, name)) and item.a == 1


def test_a_cached_property_still_works(sent: Any) -> None:
    assert arrived(sent, "Lazy").twice == 2


def test_a_generic_class_with_arguments_is_the_one_that_the_receiver_asks_for(
    tmp_path: Path,
) -> None:
    # As pydantic's models are made: the class says of which one, with which arguments.
    script = tmp_path / "a_script.py"
    script.write_text(
        """
import pickle, sys
from minipipe.codec import Encoder

class Model:
    made = {}
    def __init__(self, a): self.a = a
    def __class_getitem__(cls, args):
        if args not in cls.made:
            name = f"{cls.__name__}[{args.__name__}]"
            about = {"origin": cls, "args": (args,), "parameters": ()}
            cls.made[args] = type(name, (cls,), {
                "__module__": cls.__module__, "__pydantic_generic_metadata__": about})
        return cls.made[args]

encoder = Encoder()
items = [Model[int](1), Model(2), Model[int]]
parcel = encoder.encode([encoder.snapshot(item)[0] for item in items])
frames = [bytes(frame) for frame in parcel.frames]
sys.stdout.buffer.write(pickle.dumps((parcel.body, frames, list(parcel.classes.items()))))
"""
    )
    command = [sys.executable, str(script)]
    env = {"PYTHONPATH": ":".join(sys.path)}
    output = subprocess.run(command, check=True, capture_output=True, timeout=60, env=env)
    body, frames, definitions = pickle.loads(output.stdout)
    decoder = Decoder()
    for token, definition in definitions:
        decoder.define(token, definition)

    of_int, plain, kind = decoder.decode(body, frames)

    model: Any = type(plain)
    assert type(of_int) is kind is model[int] and model.made == {int: kind}
    assert kind.__qualname__ == "Model[int]" and of_int.a == 1


def test_an_open_text_file_is_refused_with_what_to_do_instead(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("some text")
    with open(path) as file, pytest.raises(ItemTypeError, match=r"item\['f'\] .*send its path"):
        Encoder().snapshot({"f": file})


def test_an_item_that_cannot_be_read_to_its_end_fails_for_that_reason(tmp_path: Path) -> None:
    class Image:
        def __init__(self) -> None:
            self.file = (tmp_path / "image").open("wb")

        def __getstate__(self) -> Any:
            raise OSError("image file is truncated")

    image = Image()
    with image.file, pytest.raises(ItemTypeError, match=r"item\[0\] .*image file is truncated"):
        Encoder().snapshot([image])
