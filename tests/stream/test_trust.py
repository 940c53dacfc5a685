"""Trust belongs to the socket: what it does not accept is refused, whoever a message says it is."""

from __future__ import annotations

import pickle
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgpack
import numpy as np
import pytest

from minipipe.codec import Encoder, Parcel
from minipipe.codec.wire import DATACLASS, FORMAT_VERSION, NODES
from minipipe.errors import RecordError
from minipipe.protocol.run import lifecycle as life
from minipipe.protocol.run.budget import Budget
from minipipe.stream import Node, native_form, records, wire
from minipipe.stream.memory import Memory, references
from minipipe.supervisor.worker_handle import handles_of
from minipipe.supervisor.worker_messages import WorkerMessages
from minipipe.transport import LOCAL, NATIVE, PLAIN_DATA, Trust, open_transport
from minipipe.worker import failure_forms, returned
from minipipe.worker.failure import capture
from tests.conftest import wait_until
from tests.stream.harness import RUN, Line
from tests.supervisor.fakes import FakeVitals
from tests.transport.conftest import zero_copy_is_warm  # noqa: F401 (a fixture)

OPEN = "tcp://127.0.0.1"  # anybody on this machine can reach it
LARGE = np.arange(100_000.0)


@pytest.fixture
def directory() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mpt", dir="/tmp") as made:
        yield made


@pytest.mark.parametrize(
    ("scheme", "trust"), [("inproc", LOCAL), ("ipc", LOCAL), ("tcp", PLAIN_DATA)]
)
def test_what_is_accepted_depends_on_who_can_reach_the_socket(
    scheme: str, trust: Any, directory: str
) -> None:
    base = {"inproc": "inproc://trust", "ipc": f"ipc://{directory}", "tcp": OPEN}[scheme]
    transport = open_transport(base)
    assert transport.bind("inbox").trust == trust
    transport.close()


class Exploit:
    """Code that runs where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


# ------------------------------------------------------------------ a worker's inbox
class Crafted(NamedTuple):
    """A parcel of one item that somebody has made by hand."""

    parcel: Parcel
    slots: tuple[int, ...] = ()
    classes: tuple[bytes | None, ...] = ()

    def record(self, stream: int) -> records.Items:
        about = (stream, 0, 1, (0, 1), (), (), (), (), self.slots, self.classes)
        return records.Items(*about, self.parcel.body)


def pickled(path: Path, memory: Memory) -> Crafted:
    encoder = Encoder()
    return Crafted(encoder.encode([encoder.snapshot(Exploit(path))[0]]))


def by_definition(path: Path, memory: Memory) -> Crafted:
    class Local:
        def __init__(self) -> None:
            self.x = 1

    encoder = Encoder()
    parcel = encoder.encode([encoder.snapshot(Local())[0]])
    ((token, blob),) = parcel.classes.items()
    return Crafted(parcel, classes=(token, blob))


def in_a_slot(path: Path, memory: Memory) -> Crafted:
    encoder = Encoder(lender=memory.lender)
    parcel = encoder.encode([encoder.snapshot(LARGE)[0]])
    return Crafted(parcel, slots=tuple(references(parcel.held)))


def in_a_slot_that_is_not_said(path: Path, memory: Memory) -> Crafted:
    return in_a_slot(path, memory)._replace(slots=())


def of_a_module_to_import(path: Path, memory: Memory) -> Crafted:
    body = msgpack.packb([FORMAT_VERSION, NODES, [[DATACLASS, "antigravity:X", [], []]]])
    return Crafted(Parcel(body, []))


CRAFTED = {
    pickled: "it holds a pickle",
    by_definition: "it holds the definition of a class, and this socket accepts none",
    in_a_slot: "it holds a reference to shared memory, and this socket accepts none",
    in_a_slot_that_is_not_said: "it refers to shared memory, which is not accepted here",
    of_a_module_to_import: "only modules that are loaded already are looked at",
}


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = Memory(64 * 1024 * 1024)
    yield made
    made.close()


def ready(base: str | None) -> Line:
    """A Source and a Sink that know each other."""
    line = Line([], base=base, hosts={1: "a", 2: "b"})
    line.introduce()
    for node in line.nodes:
        wait_until(lambda node=node: _served(node).membership.born, "INIT")
        node.flush(0.0, idle=True)
    (sink,) = line.nodes[1:]
    producers = line.inlet(sink).producers
    wait_until(lambda: bool(_served(sink).inlets and producers.idents), "HELLO")
    return line


def _served(node: Node) -> Node:
    node.inbox.wait(0.01)
    node.serve()
    return node


def arrived(line: Line, record: records.Items, frames: list[Any], sender: int) -> list[Any]:
    """The items of a message with this record, which comes by the Sink's socket."""
    sink = line.nodes[-1]
    line.tell(sink, records.Hello(record.stream, 0, sink.inbox.address, "", False), sender=sender)
    line.post(sink, [wire.Writer(RUN, sender).write([record]), *frames])
    inlet = line.inlet(sink)
    wait_until(lambda: bool(_served(sink).inlets and inlet.queue), "the parcel")
    items = inlet.next_batch().items
    inlet.discard()
    return items


@pytest.mark.parametrize("sender", [0, 1])
@pytest.mark.parametrize("craft", CRAFTED)
def test_what_may_run_code_or_reach_into_memory_is_refused_by_an_open_socket(
    craft: Any, sender: int, tmp_path: Path, memory: Memory
) -> None:
    line = ready(OPEN)
    crafted = craft(tmp_path / "ran", memory)
    record = crafted.record(line.outlet(line.source).spec.stream)
    try:
        with pytest.raises(RecordError) as raised:
            arrived(line, record, crafted.parcel.frames, sender)
    finally:
        line.close()
        crafted.parcel.release()
    said = str(raised.value)
    claims = f"worker {sender}" if sender else "the supervisor"
    socket = line.nodes[-1].inbox.bound_address
    assert said.startswith(
        f"{socket} refused record ITEMS of stream {record.stream} from {claims}:"
    )
    assert CRAFTED[craft] in said
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("craft", [pickled, by_definition, in_a_slot, in_a_slot_that_is_not_said])
def test_the_same_is_accepted_from_who_is_of_this_user_and_machine(
    craft: Any, tmp_path: Path, memory: Memory
) -> None:
    line = ready(None)
    crafted = craft(tmp_path / "ran", memory)
    record = crafted.record(line.outlet(line.source).spec.stream)
    items = arrived(line, record, crafted.parcel.frames, 1)
    line.close()
    crafted.parcel.release()
    assert len(items) == 1
    assert (tmp_path / "ran").exists() == (craft is pickled)


@pytest.mark.parametrize("item", [7, "text", {"a": [1, b"x"]}, LARGE, [LARGE]], ids=repr)
def test_plain_data_comes_in_by_an_open_socket(item: Any) -> None:
    line = ready(OPEN)
    outlet = line.outlet(line.source)
    line.nodes[1].flush(0.0, idle=True)
    wait_until(lambda: bool(_served(line.source) and outlet.ready), "credit")
    outlet.add(item)
    outlet.added(1.0, 1.0, 1)
    outlet.flush()
    inlet = line.inlet(line.nodes[1])
    wait_until(lambda: bool(_served(line.nodes[1]) and inlet.queue), "the parcel")
    (got,) = inlet.next_batch().items
    line.close()
    assert type(got) is type(item)
    assert np.array_equal(got, item) if item is LARGE else repr(got) == repr(item)


# ------------------------------------------------------------------ the supervisor's inbox
class Supervisor:
    """A supervisor's inbox, and what is made of messages there."""

    def __init__(self, base: str, trust: Trust | None = None) -> None:
        self.line = Line([])
        self.connected: list[int] = []
        handles = handles_of(self.line.graph, lambda member: FakeVitals())
        processes: Any = SimpleNamespace(handles=handles, items_in=lambda segment: 1)
        no_letters: Any = None
        self.messages = WorkerMessages(
            RUN, self.line.graph, processes, self.connected.append, no_letters
        )
        self.transport = open_transport(base, trust=trust)
        self.inbox = self.transport.bind("s")
        self.outlet = self.transport.connect(self.inbox.address)

    def hear(self, record: NamedTuple) -> list[Any]:
        """The events of a record that comes by the socket."""
        self.outlet.send([wire.Writer(RUN, 1).write([record])])
        found: list[Any] = []

        def comes() -> bool:
            found.append(self.inbox.receive_within(0.1))
            return found[-1] is not None

        wait_until(comes, "the record")
        return list(self.messages.of_message(wire.read(found[-1], self.inbox)))

    def close(self) -> None:
        self.transport.close()
        self.line.close()


@pytest.fixture
def exposed() -> Iterator[Supervisor]:
    """One that anybody can reach."""
    made = Supervisor(OPEN)
    yield made
    made.close()


# All that workers send pickled.
PICKLED = {
    "DONE": records.Done,
    "FAILED": records.Failed,
    "UNLOADABLE": records.Unloadable,
    "SKIPPED": lambda blob: records.Skipped(0, "", 1, (), blob),
}


@pytest.mark.parametrize("name", PICKLED)
def test_the_supervisor_unpickles_nothing_that_comes_by_an_open_socket(
    name: str, tmp_path: Path, exposed: Supervisor
) -> None:
    record = PICKLED[name](pickle.dumps(Exploit(tmp_path / "ran")))
    with pytest.raises(RecordError) as raised:
        exposed.hear(record)
    begin = f"{exposed.inbox.bound_address} refused record {name} from worker 1: "
    assert str(raised.value) == f"{begin}it holds a pickle, and this socket accepts none"
    assert not (tmp_path / "ran").exists()


def test_what_is_no_pickle_comes_in_there_by_any_socket(exposed: Supervisor) -> None:
    said = (records.Bound("tcp://there"), records.Wired(), records.Done())
    events = [event for record in said for event in exposed.hear(record)]
    assert events == [life.Bound(1, "tcp://there"), life.Wired(1), life.Done(1)]
    assert exposed.connected == [1]
    with pytest.raises(RecordError, match="record START from worker 1: it is not for the superv"):
        exposed.hear(records.Start())


def test_it_unpickles_what_comes_by_a_socket_of_the_run(directory: str) -> None:
    supervisor = Supervisor(f"ipc://{directory}")
    failure = pickle.dumps(capture(ValueError("no"), "its functor"))
    (done,) = supervisor.hear(records.Done(pickle.dumps("result")))
    (failed,) = supervisor.hear(records.Failed(failure))
    supervisor.close()
    assert done == life.Done(1)
    assert isinstance(failed.cause, ValueError)


@pytest.fixture
def hosted() -> Iterator[Supervisor]:
    """One of a run that other hosts take part in."""
    made = Supervisor("inproc://hosted", NATIVE)
    yield made
    made.close()


@pytest.mark.parametrize("name", PICKLED)
def test_nothing_is_unpickled_that_other_hosts_may_have_sent(
    name: str, tmp_path: Path, hosted: Supervisor
) -> None:
    record = PICKLED[name](pickle.dumps(Exploit(tmp_path / "ran")))
    with pytest.raises(RecordError, match="it holds a pickle, and this socket accepts none"):
        hosted.hear(record)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["FAILED", "UNLOADABLE", "SKIPPED"])
@pytest.mark.parametrize(
    "report",
    [b"\x01", b"\x01junk", native_form.write(("no", "failure"))],
    ids=("cut off", "junk", "another value"),
)
def test_what_is_no_failure_is_refused_by_its_record(
    name: str, report: bytes, hosted: Supervisor
) -> None:
    allows_failures(hosted)
    with pytest.raises(RecordError, match=f"refused record {name} from worker 1: "):
        hosted.hear(PICKLED[name](report))


def allows_failures(supervisor: Supervisor) -> None:
    """Its segments have a budget, of none: what is skipped is looked at only there."""
    for skipped in supervisor.messages._failures._of:
        skipped.budget = Budget(0)


def test_what_workers_report_comes_in_natively_all_the_same(hosted: Supervisor) -> None:
    allows_failures(hosted)
    failure = failure_forms.write(capture(KeyError("no"), "its functor"), NATIVE)
    last = failure_forms.write(capture(OSError(28, "full"), "its local_term"), NATIVE)
    (done,) = hosted.hear(records.Done(returned.write({"mean": LARGE}, NATIVE)))
    (failed,) = hosted.hear(records.Failed(failure))
    (unsaved,) = hosted.hear(records.Failed(last))
    (unloadable,) = hosted.hear(records.Unloadable(failure))
    (too_many,) = hosted.hear(records.Skipped(0, "", 1, (), failure))
    handle = hosted.messages._processes.handles[1]
    assert done == life.Done(1)
    assert np.array_equal(handle.result["mean"], LARGE)
    assert (type(failed.cause), failed.at_the_end) == (KeyError, False)
    assert (type(unsaved.cause), unsaved.at_the_end) == (OSError, True)
    assert type(unloadable.cause) is KeyError
    assert handle.name in failed.cause.__notes__[0]
    assert type(too_many.cause.__cause__) is KeyError


def test_a_result_whose_class_is_not_known_here_is_an_error_that_says_whose(
    hosted: Supervisor,
) -> None:
    body = msgpack.packb([FORMAT_VERSION, NODES, [[DATACLASS, "antigravity:X", [], []]]])
    report = native_form.write(1)[:1] + struct.pack("<IQ", 1, len(body)) + body
    (failed,) = hosted.hear(records.Done(report))
    assert isinstance(failed, life.Failed)
    assert failed.at_the_end
    assert "class 'antigravity:X' is not known here" in str(failed.cause)
    (note,) = failed.cause.__notes__
    assert "while reading what local_term of" in note
    assert "import the modules in your program" in note
    assert "antigravity" not in sys.modules
