"""Which definitions of classes the consumers of a worker have had, and still have."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from minipipe.protocol.delivery.recent import Recent


class DefinitionsSent:
    """What each consumer knows of the classes that parcels name, by stream."""

    def __init__(self) -> None:
        self._known: dict[int, dict[int, Recent[None]]] = {}

    def said(
        self, stream: int, consumers: Sequence[int], classes: Mapping[bytes, bytes]
    ) -> Sequence[bytes | None]:
        """What a message says of the classes that it names, to all of these consumers.

        A definition is in it if one of them does not have that: a consumer that has just taken the
        place of another one, say, though the others had the definition long ago.
        """
        lacking: set[bytes] = set()
        for consumer in consumers:
            streams = self._known.setdefault(consumer, {})
            has = streams.setdefault(stream, Recent())
            lacking |= has.lacking(classes)
            has.used(dict.fromkeys(classes))
        said: list[bytes | None] = []
        for token, blob in classes.items():
            said += (token, blob if token in lacking else None)
        return said

    def forget(self, dead: Container[int]) -> None:
        """Nothing is kept of these."""
        for consumer in [ident for ident in self._known if ident in dead]:
            del self._known[consumer]
