"""Parcels become items."""

from __future__ import annotations

import pickle
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

import msgpack

from minipipe.codec import arrays, classes, item_loader, wire
from minipipe.codec.borrower import NO_LEASES, Borrower, Leases, SlotGoneError
from minipipe.codec.item_failures import failure
from minipipe.codec.over_arrays import over_arrays
from minipipe.codec.reader import Reader
from minipipe.codec.rows import read_rows
from minipipe.codec.unreadable import Unreadable, original, unreadable
from minipipe.errors import WireFormatError
from minipipe.errors.cause import because
from minipipe.protocol.wiring import Access
from minipipe.shm import SlotError

# The scout keeps a buffer as large as the largest body that it has seen.
_SCOUTED_BYTES: Final = 1 << 20


class Decoder:
    """Turns parcels into items. One per connection, and one thread at a time.

    Whatever comes in, nothing worse comes out than a WireFormatError.

    Args:
        allow_pickle: Whether pickles and definitions of classes are accepted, and modules imported
            to find a class. Who may send those may run any code here.
        borrower: Finds the arrays that are not in the message; None: such messages are refused.
        access: What may be done with those arrays (tensors are always "private", since they
            know no read-only memory). "read": look. "write": write too, if nobody else got them.
            "own": the same, and else as "private". "private": write too; nobody else sees it.
            May be set at any time.

    Attributes:
        importable: The modules that may be imported to find a class, whatever `allow_pickle` is.
        failed: Whether there is an `Unreadable` among the items that were decoded last.
    """

    def __init__(
        self,
        *,
        allow_pickle: bool = True,
        borrower: Borrower | None = None,
        access: Access = "read",
    ) -> None:
        """Knows no class by definition yet."""
        self.allow_pickle = allow_pickle
        self.borrower = borrower
        self.access: Access = access
        self.failed = False
        self.importable: Container[str] = ()
        self.leases = NO_LEASES
        self._defined: dict[bytes, classes.Named] = {}
        self._classes: Mapping[bytes, classes.Named] = self._defined
        self._scout = _new_scout()
        self.presets: Sequence[item_loader.Known] = ()  # of the parcel
        self._known_presets = item_loader.KnownPresets()

    def define(self, token: bytes, blob: bytes) -> None:
        """Learns a class, so that parcels can name it for as long as this decoder lives.

        Args:
            token: One of `Parcel.classes`.
            blob: The definition that stands there.

        Raises:
            WireFormatError: It is no definition, or definitions are not accepted.
        """
        if not self.allow_pickle:
            raise WireFormatError(
                "the definition of a class came, which only allow_pickle=True would accept"
            )
        token = bytes(token)
        if len(token) != classes.TOKEN_BYTES:
            raise WireFormatError(f"the token of a class has {len(token)} bytes")
        self._defined[token] = classes.Named(token, blob)
        self.class_named(token)

    def decode(
        self,
        body: bytes | memoryview,
        frames: Sequence[bytes | memoryview],
        leases: Leases = NO_LEASES,
        named: Mapping[bytes, classes.Named] | None = None,
        *,
        each: bool = False,
    ) -> list[Any]:
        """Returns the items of a parcel. None of them refers to the body or to the frames.

        When it has returned, or raised, the sender need not keep what the parcel refers to.

        Args:
            body: The parcel's.
            frames: The parcel's.
            leases: Slots that were borrowed for it already; the others are borrowed now.
            named: The classes of `Parcel.classes`, by token; None: those that were defined here.
            each: An item that cannot be made again is an `Unreadable`, and does not keep the others
                from being read.

        Raises:
            WireFormatError: The parcel is malformed, of another version, or holds what is not
                accepted or not known here.
            SlotGoneError: What it refers to is not there any more: it was not received.
            SlotError: This process cannot map what it refers to.
        """
        self.leases = leases
        self.failed = False
        self._classes = self._defined if named is None else named
        try:
            return self._items(body, frames, each=each)
        except (WireFormatError, SlotGoneError, SlotError):
            raise
        except Exception as exc:
            # Every reader takes its node for well-formed, and NumPy, Arrow, datetime and any class
            # that unpickles itself or hashes as a key each have their own way to say it is not.
            cause = original(exc)
            why = f"a parcel cannot be decoded: {_said(cause)}"
            raise because(WireFormatError(why), cause) from cause
        finally:
            self.leases = NO_LEASES
            self._classes = self._defined

    def class_named(self, name: str | bytes) -> type:
        """Returns the class that a message refers to, by reference or by token."""
        if isinstance(name, str):
            may_import = self.allow_pickle
            return classes.resolve(name, may_import=may_import, importable=self.importable)
        found = self._classes.get(name)
        if found is None:
            raise WireFormatError(f"class {name!r:.80} is not defined, and something names it")
        try:
            return found.resolved(self.class_named)
        except WireFormatError:
            raise
        except Exception as exc:  # a definition runs the code of others, which may raise anything
            cause = original(exc)
            why = f"the definition of a class failed: {_said(cause)}"
            raise because(WireFormatError(why), cause) from cause

    def _items(
        self, body: bytes | memoryview, frames: Sequence[bytes | memoryview], *, each: bool
    ) -> list[Any]:
        version, kind, payload, ends, presets = self._outline(body)
        if version != wire.FORMAT_VERSION:
            raise WireFormatError(
                f"a parcel of format version {version!r:.40} came, and this is version "
                f"{wire.FORMAT_VERSION}: use the same minipipe on both sides"
            )
        if type(payload) is not list:
            raise WireFormatError("a parcel has no list of items")
        if kind == wire.PLAIN:
            if frames or not set(map(type, payload)) <= wire.LEAVES:
                raise WireFormatError("a plain parcel holds more than plain items")
            return payload
        if (presets or kind == wire.PICKLES) and not self.allow_pickle:
            raise WireFormatError("it holds a pickle, which only allow_pickle=True would accept")
        if kind == wire.PICKLES:
            return self._loaded(payload, presets, each=each)
        if kind == wire.OVER_ARRAYS:
            name, inner = payload
            return over_arrays(self, name, lambda: self._items(inner, frames, each=each))
        self.presets = [self._known_presets.of(refs, self.class_named) for refs in presets or ()]
        reader = Reader(frames, self)
        if kind == wire.ARRAYS:
            items: list[Any] = []
            for words, shape, count, data in payload:
                items += arrays.read_run(words, shape, count, reader.buffer(data))
        elif kind == wire.SLOTS:
            items = [item for run in payload for item in arrays.read_slots(reader, *run)]
        elif kind == wire.ROWS:
            items = read_rows(reader, payload)
        elif kind == wire.NODES and each and _are_ends(ends, len(payload), len(frames)):
            return self._each(payload, frames, ends)
        elif kind == wire.NODES:
            items = [reader.item(node) for node in payload]
        else:
            raise WireFormatError(f"a parcel is of the unknown kind {kind!r:.40}")
        reader.end()
        return items

    def _loaded(self, pickles: list[Any], refs: Any, *, each: bool) -> list[Any]:
        known = self._known_presets.of(refs, self.class_named)
        loads, objects = pickle.loads, known.objects
        items: list[Any] = []
        while len(items) < len(pickles):
            try:
                if objects:
                    for data in pickles[len(items) :]:
                        items.append(loads(data, buffers=objects))
                else:
                    for data in pickles[len(items) :]:
                        items.append(loads(data))
            except Exception as exc:  # whatever the code of its class raises
                parts = [pickles[len(items)]]
                error = failure(exc, parts, objects, known.missing)
                if not each:
                    raise error from error.__cause__
                self.failed = True
                items.append(Unreadable(unreadable(error)))
        return items

    def _each(
        self, nodes: list[Any], frames: Sequence[bytes | memoryview], ends: list[int] | None
    ) -> list[Any]:
        items: list[Any] = []
        reader = Reader(frames, self)
        for place, node in enumerate(nodes):
            try:
                items.append(reader.item(node))
            except (SlotGoneError, SlotError):
                raise
            except Exception as exc:  # unpickling runs code of the user's classes
                self.failed = True
                items.append(Unreadable(unreadable(exc)))
                reader = Reader(frames[ends[place] :] if ends else (), self)
        reader.end()
        return items

    def _outline(self, body: bytes | memoryview) -> tuple[Any, Any, Any, Any, Any]:
        if not self.allow_pickle:
            self._step_over(body)
        found = msgpack.unpackb(body, strict_map_key=False, ext_hook=_no_extension)
        if type(found) is not list or not found:
            raise WireFormatError(f"a parcel is a {type(found).__name__}")
        version, kind, payload, ends, presets = (*found, None, None, None, None)[:5]
        return version, kind, payload, ends, presets

    def _step_over(self, body: bytes | memoryview) -> None:
        # msgpack makes a list as long as its header says before it looks for what is in it, at
        # every level: a megabyte of headers asks for 8 GB. So first all of it is stepped over
        # (5 ns an item), after which each header is known to be true.
        scout = self._scout if len(body) <= _SCOUTED_BYTES else _new_scout()
        try:
            scout.feed(body)
            scout.skip()
        except Exception:
            self._scout = _new_scout()  # the old one still holds what is left of a broken body
            raise


def _are_ends(ends: Any, items: int, frames: int) -> bool:
    """Whether these say how many frames there are behind each item; None if there are none."""
    if ends is None:
        return not frames
    return type(ends) is list and len(ends) == items and ends == sorted(ends)


def _new_scout() -> msgpack.Unpacker:
    return msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)


def _no_extension(code: int, data: bytes) -> object:
    raise WireFormatError(f"a parcel holds the msgpack extension {code}")


def _said(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc!s:.300}"
