"""Items become frames here, and frames items; nothing in here has seen a socket.

The way out is `Encoder.snapshot` (one item, made independent of its owner) and then
`Encoder.encode` (many of them, one parcel); the way in is `Decoder.decode`. The format itself is
described in `minipipe.codec.wire`.
"""

from minipipe.codec.arrays import small_copy
from minipipe.codec.borrower import NO_LEASES, Borrower, Leases, SlotGoneError
from minipipe.codec.classes import Named
from minipipe.codec.decoder import Decoder
from minipipe.codec.encoder import Encoder
from minipipe.codec.lender import Lender
from minipipe.codec.local_encoder import LocalEncoder
from minipipe.codec.moved import Moved
from minipipe.codec.parcel import Parcel
from minipipe.codec.slot_parts import parts_of
from minipipe.codec.unreadable import Unreadable, readable
from minipipe.codec.wire import ATOMS, FORMAT_VERSION
from minipipe.protocol.wiring import Access

__all__ = [
    "ATOMS",
    "FORMAT_VERSION",
    "NO_LEASES",
    "Access",
    "Borrower",
    "Decoder",
    "Encoder",
    "Leases",
    "Lender",
    "LocalEncoder",
    "Moved",
    "Named",
    "Parcel",
    "SlotGoneError",
    "Unreadable",
    "parts_of",
    "readable",
    "small_copy",
]
