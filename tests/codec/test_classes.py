"""Classes whose definitions travel."""

from __future__ import annotations

import dataclasses
import enum
import gc
import json
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from minipipe.codec import Decoder, Encoder
from minipipe.errors import ItemTypeError, WireFormatError
from tests.codec.sameness import trip

_SCRIPT = """
import pickle, sys
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from minipipe.codec import Encoder, Decoder

class Kind(Enum):
    A = 1

@dataclass
class Base:
    kind: Kind = Kind.A

@dataclass
class Thing(Base):
    size: int = 3
    def double(self): return Thing(self.kind, self.size * 2)

class Row(NamedTuple):
    thing: Thing

class Plain:
    def __init__(self, x): self.x = x
    def thing(self): return Thing()

if sys.argv[1] == "send":
    encoder = Encoder()
    items = [Thing(size=4), Row(Thing()), {"k": Kind.A}, Plain(Thing()), Thing]
    parcel = encoder.encode([encoder.snapshot(item)[0] for item in items])
    blobs = list(parcel.classes.items())
    sys.stdout.buffer.write(pickle.dumps((parcel.body, list(map(bytes, parcel.frames)), blobs)))
"""


@pytest.fixture
def sent(tmp_path: Path) -> Any:
    """What a script sent whose classes are of its __main__."""
    import pickle

    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    output = subprocess.run(
        [sys.executable, str(script), "send"],
        check=True,
        capture_output=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    return pickle.loads(output.stdout)


def test_instances_of_a_script_of_another_process_arrive_with_their_class(sent: Any) -> None:
    body, frames, blobs = sent
    decoder = Decoder()
    for token, blob in blobs:
        decoder.define(token, blob)

    thing, row, kinds, plain, cls = decoder.decode(body, frames)

    assert type(thing) is cls and thing.double().size == 8 and type(thing.double()) is cls
    assert type(row.thing) is cls and row._fields == ("thing",)
    assert kinds["k"] is thing.kind is type(thing.kind).A
    assert type(plain.x) is cls and type(plain.thing()) is cls


def test_a_class_that_came_in_goes_out_under_the_token_it_came_with(sent: Any) -> None:
    body, frames, blobs = sent
    decoder = Decoder()
    for token, blob in blobs:
        decoder.define(token, blob)
    items = decoder.decode(body, frames)

    encoder = Encoder()
    parcel = encoder.encode([encoder.snapshot(item)[0] for item in items])

    assert dict(parcel.classes) == dict(blobs)


def test_two_connections_that_bring_a_class_bring_the_same(sent: Any) -> None:
    body, frames, blobs = sent
    kinds = []
    for _ in range(2):
        decoder = Decoder()
        for token, blob in blobs:
            decoder.define(token, blob)
        kinds.append(type(decoder.decode(body, frames)[0]))
    assert kinds[0] is kinds[1]


def test_each_class_comes_after_those_that_it_needs(sent: Any) -> None:
    _, _, blobs = sent
    decoder = Decoder()
    with pytest.raises(WireFormatError, match="not defined"):
        for token, blob in reversed(blobs):
            decoder.define(token, blob)


def _local() -> Any:
    @dataclasses.dataclass
    class Local:
        x: int

    return Local


def test_a_class_that_comes_home_is_the_original() -> None:
    local = _local()
    assert type(trip(local(3), allow_pickle=True)) is local


def test_a_token_is_per_class_and_not_per_instance_or_encoder() -> None:
    local = _local()
    parcels = []
    for _ in range(2):
        encoder = Encoder()
        parcels.append(encoder.encode([encoder.snapshot(local(n))[0] for n in range(50)]))
    assert parcels[0].classes == parcels[1].classes
    assert [len(token) for token in parcels[0].classes] == [16]


def test_two_classes_that_need_each_other_arrive_as_themselves() -> None:
    class Left:
        def other(self) -> Any:
            return Right()

    class Right:
        def other(self) -> Any:
            return Left()

    arrived = trip([Left(), Right(), Left], allow_pickle=True)
    assert type(arrived[0]) is Left is arrived[2] and type(arrived[1].other()) is Left


def test_an_encoder_without_pickle_sends_no_definition() -> None:
    with pytest.raises(ItemTypeError, match=r"item\['a'\].*define it.*allow_pickle=True"):
        trip({"a": _local()(1)})


_NAMED = """
import json, sys, threading
from dataclasses import dataclass
from minipipe.codec import Decoder, Encoder, classes
from minipipe.errors import ItemTypeError, WireFormatError
from minipipe.supervisor.script_classes import classes_of_script

def trip(item):
    encoder = Encoder(allow_pickle=False)
    parcel = encoder.encode([encoder.snapshot(item)[0]])
    return parcel.body, Decoder(allow_pickle=False).decode(parcel.body, parcel.frames)[0]

@dataclass
class Sample:
    number: int

@dataclass
class Odd:
    def get(self, lock=threading.Lock()):
        pass

@dataclass
class Broken:
    def __init_subclass__(cls):
        pass

class Plain:
    pass

said = []
pickles = classes_of_script()
said.append(sorted(pickles))
classes.know_script(pickles)
item = Sample(7)
body, same = trip(item)
said.append(same == item)
Old = Sample
del Sample  # as a worker that has not met it
back = Decoder(allow_pickle=False).decode(body, ())[0]
said.append([back == item, Sample is Old])

@dataclass
class Sample:  # as a cell of a notebook that is run once more
    number: int

for item in (Old(7), Odd()):
    try:
        trip(item)
    except ItemTypeError as error:
        said.append("define it at the top of the script" in str(error))
body, _ = trip(Sample(8))
del Sample
classes.know_script({"Sample": b"no pickle"})
try:
    Decoder(allow_pickle=False).decode(body, ())
except WireFormatError as error:
    said.append(str(error))
print(json.dumps(said))
"""


def test_classes_of_the_script_that_were_given_to_a_worker_are_named_and_made_when_met(
    tmp_path: Path,
) -> None:
    (tmp_path / "script.py").write_text(_NAMED)
    output = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")],
        check=True,
        capture_output=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    names, same, back, old, odd, broken = json.loads(output.stdout)
    assert names == ["Broken", "Sample"]  # what cannot be pickled stays, and so does what is plain
    assert same and back == [True, True] and old and odd
    assert "'__main__:Sample' is not known here" in broken and "cannot be made here" in broken


def test_of_an_enum_of_a_script_the_member_is_named_and_not_what_stands_in_it() -> None:
    class Color(enum.Enum):
        RED = 1

    with pytest.raises(
        ItemTypeError, match=r"item\['a'\] of type .*Color cannot be sent: its class"
    ):
        trip({"a": Color.RED})


def test_a_decoder_without_pickle_takes_no_definition() -> None:
    with pytest.raises(WireFormatError, match="allow_pickle=True"):
        Decoder(allow_pickle=False).define(bytes(16), b"")


def test_a_definition_that_fails_or_defines_nothing_is_a_wire_format_error() -> None:
    import pickle

    for token, blob in [
        (bytes(16), b"junk"),
        (bytes(16), pickle.dumps(3)),
        (b"short", pickle.dumps(int)),
    ]:
        with pytest.raises(WireFormatError):
            Decoder().define(token, blob)


def test_a_class_that_is_named_before_it_is_defined_is_a_wire_format_error() -> None:
    encoder = Encoder()
    parcel = encoder.encode([encoder.snapshot(_local()(1))[0]])
    with pytest.raises(WireFormatError, match="not defined"):
        Decoder().decode(parcel.body, parcel.frames)


def test_a_class_that_nobody_holds_any_more_is_freed() -> None:
    local = _local()
    alive = weakref.ref(local)
    trip(local(1), allow_pickle=True)
    del local
    gc.collect()
    assert alive() is None
