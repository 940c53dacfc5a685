"""Records: what is written is what is read, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgpack
import pytest

from minipipe.errors import RecordError, WireFormatError
from minipipe.protocol.delivery.membership import Peer
from minipipe.stream import records, wire
from minipipe.transport import Inbox, open_transport
from tests.stream.harness import RUN, Line

PATH = ((1, (0, 1)), (0, (0, 2)))
# One of each kind, with something in every field.
ONE_OF_EACH: list[NamedTuple] = [
    records.Hello(1, 2, "ipc://there", "ipc://topics", True),
    records.Grant(1, 20, 19, -8, 250, 2, True),
    records.Items(
        *(1, 2, 3, (4, 6, 9, 10), PATH, (PATH, ()), (0, 2, 3, 4), ((7, ((3, 4, 1), (3, 5, 1))),)),
        *((1, 2, 3, 4, 5), (b"token", b"definition", b"other", None), b"body"),
    ),
    records.Confirm(0, 1, (2, 3), PATH),
    records.Dropped(0, 1, (2, 3, 5, 9), ()),
    records.Mark(0, 17),
    records.Close(0, 3),
    records.At(0, 17),
    records.Fenced(0, 2, (((2, 3), PATH), ((), ()))),
    records.Probe(1, 2, 3, True),
    records.Last(),
    records.Bye(-1),
    records.Taken(3),
    records.Freight(((0, 4096), (64, 128, 640, 700)), (12, 3, 4, 5, 6) * 2, 7),
    records.Landed(7),
    records.Offer(1, 7),
    records.Recall(1, 7),
    records.Returned(1, 6),
    records.Init(
        ((0, 1),),
        ((3, 5),),
        (Peer(1, 2, "ipc://there", "host"),),
        ((1, 2, 3, (0, 1), 1),),
        ((0, 4),),
        3,
    ),
    records.Join(*Peer(1, 2, "ipc://there", "host")),
    records.Start(3),
    records.Abandon(3, ((0, 1, (6, 7)),), ((3, 5),), ((1, 2, 3, (), 2),)),
    records.Drain(),
    records.Leave(),
    records.Stop("failed"),
    records.Exit(),
    records.Fence(0, 1, ((3, 5),), (6, 7), ((1, 2, 3, (), 2),)),
    records.Count(1, 3),
    records.Retire((1, 2)),
    records.Retiring(5),
    records.Gone(5),
    records.Bound("ipc://there"),
    records.Wired(),
    records.PassDone(3),
    records.Done(b"pickle"),
    records.Failed(b"pickle"),
    records.Log(30, "text", once=True),
    records.Rest(True, ((1, 2, 3),), ((1, 2, 4), (1, 5, 6))),
    records.Ended(),
    records.Resent(0, 1, 2, ((1, 2, (0,)),)),
    records.Skipped(1, "text", 2, ((3, (0, 1), (4, 5)),), b"pickle"),
    records.Unloadable(b"pickle"),
    records.Kept(),
    records.Letter(1, 2, (0, 1), True, b"content"),
    records.Suspect(1, 2, (0, 1), b"content"),
    records.Spans(1, 2, b"packed", 3),
]
WRONG: list[Any] = [None, True, 1.5, "text", b"bytes", 7, (), (("a",),), {"a": 1}]

each = pytest.mark.parametrize("record", ONE_OF_EACH, ids=lambda record: type(record).__name__)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    transport = open_transport("inproc://records")
    yield transport.bind("inbox")
    transport.close()


def read(inbox: Inbox, *packed: Any) -> list[NamedTuple]:
    """What is read of records that were packed by hand."""
    head = msgpack.packb((wire.WIRE_VERSION, RUN, 3, packed))
    return wire.read([head], inbox).records()


def test_there_is_one_of_each_here() -> None:
    assert {type(record) for record in ONE_OF_EACH} == set(records.OPS)


@each
def test_a_record_is_read_as_it_was_written(record: NamedTuple, inbox: Inbox) -> None:
    message = wire.read([wire.Writer(RUN, 3).write([record, record]), b"frame"], inbox)
    assert (message.run, message.sender, message.frames) == (RUN, 3, [b"frame"])
    found = message.records()
    assert found == [record, record]
    assert [type(each) for each in found] == [type(record)] * 2


@each
def test_a_field_more_or_less_is_an_error_that_names_the_record(
    record: NamedTuple, inbox: Inbox
) -> None:
    op, fields = records.OPS[type(record)], tuple(record)
    expected = f"record {records.name_of(record)} from worker 3: {len(fields)} fields were expected"
    for wrong in (fields[:-1], (*fields, 0), ()):
        if len(wrong) != len(fields):
            with pytest.raises(RecordError, match=expected) as raised:
                read(inbox, (op, wrong))
            assert f"and {len(wrong)} came" in str(raised.value)
            assert all(name in str(raised.value) for name in record._fields)


def test_a_field_of_another_type_is_an_error_that_names_it(inbox: Inbox) -> None:
    message = r"record GRANT from worker 3: field 'window' is 'many', and int was expected"
    with pytest.raises(RecordError, match=message):
        read(inbox, (records.OPS[records.Grant], (1, 2, 3, "many", 5, 6, False)))


@each
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_no_field_takes_what_does_not_belong_there(
    record: NamedTuple, wrong: Any, inbox: Inbox
) -> None:
    form = records.FORMS[records.OPS[type(record)]]
    for position, name in enumerate(record._fields):
        fields = (*record[:position], wrong, *record[position + 1 :])
        right = type(wrong) is type(record[position]) and wrong != (("a",),)
        if right or (name == "body" and type(wrong) in (bytes, tuple)):
            continue
        with pytest.raises(RecordError, match=f"record {form.name} .*field '{name}' is "):
            read(inbox, (records.OPS[type(record)], fields))


@pytest.mark.parametrize(
    ("record", "field", "wrong"),
    [
        (records.Confirm(0, 1, (2, 3), PATH), "runs", (3,)),
        (records.Confirm(0, 1, (2, 3), PATH), "runs", (3, 2)),
        (records.Confirm(0, 1, (2, 3), PATH), "runs", (1, 2, 3)),
        (records.Confirm(0, 1, (2, 3), PATH), "runs", (1, 2, 4, 3)),
        (records.Confirm(0, 1, (2, 3), PATH), "runs", (1, "2")),
        (records.Confirm(0, 1, (2, 3), PATH), "path", (1, 2)),
        (records.Confirm(0, 1, (2, 3), PATH), "path", ((1,),)),
        (records.Confirm(0, 1, (2, 3), PATH), "path", ((1, (0, "1")),)),
        (records.Fenced(0, 1, ()), "held", (((2, 3),),)),
        (records.Fenced(0, 1, ()), "held", (((2,), ()),)),
        (records.Init((), (), (), (), ()), "peers", ((1, 2),)),
        (records.Init((), (), (), (), ()), "dead", ((1, 2, 3),)),
        (ONE_OF_EACH[2], "classes", (b"token",)),
        (ONE_OF_EACH[2], "classes", (None, b"definition")),
        (ONE_OF_EACH[2], "keys", ((1, (2, 3)),)),
    ],
)
def test_what_is_in_a_field_is_looked_at_too(
    record: NamedTuple, field: str, wrong: Any, inbox: Inbox
) -> None:
    fields = tuple(record._replace(**{field: wrong}))
    with pytest.raises(RecordError, match=f"field '{field}' is "):
        read(inbox, (records.OPS[type(record)], fields))


@pytest.mark.parametrize(
    "packed", [(99, ()), (2,), 7, (), (None, ()), ({}, ()), "GRANT", (2, 1, 0)]
)
def test_what_is_no_record_is_an_error(packed: Any, inbox: Inbox) -> None:
    with pytest.raises(RecordError, match="there is no such record"):
        read(inbox, packed)


@pytest.mark.parametrize("fields", [7, None, "abcdef", b"abcdef", {"a": 1}])
def test_fields_that_are_no_list_are_an_error(fields: Any, inbox: Inbox) -> None:
    with pytest.raises(RecordError, match=r"record GRANT .*where its fields should be"):
        read(inbox, (records.OPS[records.Grant], fields))


@pytest.mark.parametrize("head", [(2, "run", 3, ()), (2, 1, None, ()), (2, 1, 3, 7), (2, 1, 3), 2])
def test_a_head_without_run_sender_and_records_is_no_message(head: Any, inbox: Inbox) -> None:
    with pytest.raises(WireFormatError, match="a message"):
        wire.read([msgpack.packb(head)], inbox)


# ------------------------------------------------------------------ where they are handled
@pytest.fixture
def line() -> Iterator[Line]:
    made = Line([(lambda x: x, 1)])
    made.introduce()
    for node in made.nodes:
        node.serve()
        node.flush(0.0, idle=True)
    made.source.serve()
    yield made
    made.close()


ITEMS = records.Items(1, 0, 1, (0, 1), (), (), (), (), (), (), (5,))


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (records.Bound("ipc://there"), "it is not for workers"),
        (ITEMS._replace(stream=99), "stream 99 does not end here"),
        (ITEMS._replace(runs=()), "it has no items"),
        (ITEMS._replace(stream=0), "stream 0 does not end here"),
        (ITEMS._replace(keys=((1, ((1, 2), (1, 3))),)), "another number of keys than of items"),
        (ITEMS._replace(classes=(b"token", None)), "is named and was never defined"),
        (ITEMS._replace(slots=(1, 2)), "is no reference to a slot"),
        (records.Hello(99, 1, "ipc://there", "", False), "stream 99 does not end here"),
        (records.Grant(99, 0, 0, 1, 1, 1), "stream 99 does not begin here"),
    ],
)
def test_a_worker_says_what_is_wrong_with_a_record(
    record: NamedTuple, why: str, line: Line
) -> None:
    sink = line.nodes[2]
    line.tell(sink, record, sender=2)
    with pytest.raises(RecordError) as raised:
        sink.serve()
    stream = f" of stream {record.stream}" if hasattr(record, "stream") else ""
    begin = f"{sink.inbox.bound_address} refused record {records.name_of(record)}{stream} from"
    assert str(raised.value).startswith(f"{begin} worker 2: ")
    assert why in str(raised.value)


@pytest.mark.parametrize("body", [(5, 6), (), b"\x93\x01\x01\x90"])
def test_a_parcel_with_another_number_of_items_is_an_error(body: Any, line: Line) -> None:
    sink = line.nodes[2]
    line.tell(sink, ITEMS._replace(body=body), sender=2)
    sink.serve()
    with pytest.raises(
        RecordError, match=r"record ITEMS of stream 1 from worker 2: it says 1 item"
    ):
        line.inlet(sink).next_batch()


def test_what_belongs_to_another_run_is_not_even_looked_at(line: Line) -> None:
    sink = line.nodes[2]
    head = msgpack.packb((wire.WIRE_VERSION, RUN + 1, 1, ((99, ()),)))
    line.transport.connect(sink.inbox.address).send([head])
    sink.serve()
