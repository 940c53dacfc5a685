"""Messages between processes: one msgpack head, then the out-of-band frames of a parcel.

    head = [version, run, sender, [record, ...]]      record = [number, [field, ...]]

Several records share a message (a grant rides on a confirmation), and at most one of them,
the last, is a parcel.  Every message carries run and sender; what does not belong is dropped, so
its records are looked at only later (`Message.records`).  What they are is said in
`stream.records`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgpack

from minipipe.errors import RecordError, WireFormatError
from minipipe.errors.cause import because
from minipipe.stream.forms import Form
from minipipe.stream.records import FORMS, OPS
from minipipe.transport import LOCAL, Buffer, Receiver

WIRE_VERSION: Final = 2

_new: Final = tuple.__new__  # half the time of a named tuple's own
# (Names of this module's own: of those that are not compiled they would be looked up each time.)
_FORMS: Final = FORMS
_OPS: Final = OPS
_LOCAL: Final = LOCAL
_unpack: Final = msgpack.unpackb


class Message(NamedTuple):
    """One message, taken apart.

    Attributes:
        inbox: what it came by; that, and nothing that it says, decides what is accepted.
    """

    run: int
    sender: int
    packed: Sequence[Any]
    frames: Sequence[Buffer]
    inbox: Receiver

    def records(self) -> list[NamedTuple]:
        """What it says.

        Raises:
            RecordError: one of its records is none, or holds what its socket does not accept.
        """
        found: list[NamedTuple] = []
        for packed in self.packed:
            try:
                op, fields = packed
                form = _FORMS[op]
            except (TypeError, ValueError, KeyError):
                refused = self.refused(f"{packed!r:.80}", "there is no such record")
                raise because(refused, None) from None
            if not form.fits(fields):
                raise self.refused(form.name, form.why_not(fields))
            record = _new(form.cls, fields)
            if form.guarded and self.inbox.trust is not _LOCAL:
                self._check(form, record)
            found.append(record)
        return found

    def _check(self, form: Form, record: NamedTuple) -> None:
        trust = self.inbox.trust
        for position, guard in form.guarded:
            if guard.concerns(record[position]) and not getattr(trust, guard.needs):
                what = f"it holds {guard.holds}, and this socket accepts none"
                raise self.refused(form.name, what, getattr(record, "stream", None))

    def refused(self, record: str, why: str, stream: int | None = None) -> RecordError:
        """The error of a record of this message."""
        return RecordError(self.inbox.bound_address, self.sender, record, why, stream)


class Writer:
    """Writes the heads of one sender's messages; one thread at a time."""

    def __init__(self, run: int, sender: int) -> None:
        self._run = run
        self._sender = sender
        self.messages = 0  # that were written
        self._pack = msgpack.Packer(use_bin_type=True, autoreset=True).pack

    def write(self, records: Sequence[NamedTuple]) -> bytes:
        """The head of a message."""
        self.messages += 1
        packed = []
        for record in records:
            packed.append((_OPS[type(record)], record))
        head: bytes = self._pack((WIRE_VERSION, self._run, self._sender, packed))
        return head


def read(buffers: Sequence[Buffer], inbox: Receiver) -> Message:
    """The message in `buffers`, which has come by `inbox`.

    Raises:
        WireFormatError: it is not one, or of another version.
    """
    try:
        version, run, sender, packed = _unpack(buffers[0], use_list=False)
    except (ValueError, TypeError, IndexError, msgpack.UnpackException) as error:
        unreadable = WireFormatError(f"a message without a readable head: {error}")
        raise because(unreadable, error) from error
    if version != WIRE_VERSION:
        raise WireFormatError(
            f"a message in wire version {version!r}, this process speaks {WIRE_VERSION}: "
            "install the same MiniPipe everywhere"
        )
    if type(run) is not int or type(sender) is not int or type(packed) is not tuple:
        raise WireFormatError("a message whose head says neither run nor sender")
    return _new(Message, (run, sender, packed, buffers[1:], inbox))
