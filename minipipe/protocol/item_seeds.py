"""Seeds of random generators, derived from a run's seed and from whose generator it is.

What they depend on is hashed, names and not positions: a segment that is added changes no seed of
another one's.  The same function in every process, so the same item has the same seed in whichever
worker it comes to, and inline.  The numbers are part of what is promised: `tests/protocol` has a
table of them.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from minipipe.protocol.delivery.paths import Outputs

# What a worker does outside of items: its constructor and `local_init`, a Source's way through one
# epoch, what a Regulator does at the end of its stream, its `local_term`.
START, EPOCH, END, TERM = "start", "epoch {}", "end", "term"
COMMON = "all workers"  # what they do alike, such as shuffling what they share out

FIRST_PASS = 0  # and the only one, unless the pipeline is persistent

DIGEST_BYTES = 64
# Which bytes of a digest are for which generator: none shares its seed with another one.
FOR_RANDOM, FOR_LIBRARIES = slice(0, 8), slice(8, 16)
FOR_NUMPY, FOR_RNG, FOR_WORKER = slice(16, 40), slice(40, 56), slice(56, 60)


class ItemSeeds:
    """The seeds for those items of one segment that differ in their numbers alone."""

    def __init__(self, common: blake2b) -> None:
        self._common = common

    def at(self, number: int) -> bytes:
        """The digest for the item of this number, of DIGEST_BYTES."""
        hashed = self._common.copy()  # 0.4 us, a quarter of what it takes to begin anew
        hashed.update(number.to_bytes(8, "little"))
        return hashed.digest()


class SegmentSeeds:
    """The seeds of one segment.

    Args:
        seed: of the run, at least 0, of any size.
        pass_number: the how-manieth pass over the data it is, from 0.
        segment: its name.
    """

    def __init__(self, seed: int, pass_number: int, segment: str) -> None:
        if seed < 0:
            raise ValueError(f"a seed is at least 0, got {seed}")
        self._seed, self._segment = seed, segment
        self._fields = (_bytes_of(seed), _bytes_of(pass_number), _text(segment))

    def in_pass(self, pass_number: int) -> SegmentSeeds:
        """The same segment's, of another pass."""
        return SegmentSeeds(self._seed, pass_number, self._segment)

    def items(self, origin: str, path: Outputs) -> ItemSeeds:
        """Those for what was numbered by this worker, and came by these outputs."""
        steps = b"".join(output.to_bytes(8, "little") for output in path)
        return ItemSeeds(_hash(b"minipipe.item", *self._fields, _text(origin), steps))

    def outside(self, index: int, occasion: str) -> bytes:
        """The digest for what a worker does outside of items, of DIGEST_BYTES.

        Args:
            index: of the worker, within the segment: who takes the place of a dead one has its.
            occasion: what that is, such as START.
        """
        fields = (*self._fields, _bytes_of(index), _text(occasion))
        return _hash(b"minipipe.worker", *fields).digest()

    def of_worker(self, index: int) -> int:
        """The worker's seed, of 32 bits, which it is told of."""
        return int.from_bytes(self.outside(index, START)[FOR_WORKER], "little")

    @property
    def common(self) -> int:
        """What all workers of the segment have in common, of 32 bits."""
        return int.from_bytes(self.outside(0, COMMON)[FOR_WORKER], "little")


class RunSeeds(NamedTuple):
    """What the seeds of a run's workers follow from.

    Attributes:
        given: by the user; None: none was.
        drawn: at random: what serves then.
    """

    given: int | None
    drawn: int

    def of_worker(self, segment: str, index: int, ident: int) -> int:
        """The seed of one worker, of 32 bits.

        Args:
            index: within the segment.
            ident: that no other worker of the run ever has.
        """
        if self.given is None:
            return (self.drawn + 0x9E3779B1 * ident) % 2**32
        return SegmentSeeds(self.given, FIRST_PASS, segment).of_worker(index)

    def common(self, segment: str) -> int:
        """What all workers of a segment have in common, of 32 bits."""
        seed = self.drawn if self.given is None else self.given
        return SegmentSeeds(seed, FIRST_PASS, segment).common


def in_pass(seed: int, pass_number: int) -> int:
    """What a generator that has this seed starts from in a pass: in the first one, that itself."""
    if pass_number == FIRST_PASS:
        return seed
    hashed = _hash(b"minipipe.pass", _bytes_of(seed), _bytes_of(pass_number))
    return int.from_bytes(hashed.digest()[FOR_RNG], "little")


def more(digest: bytes, step: int) -> bytes:
    """The digest for a further step at what this one is for: a Regulator is asked for more.

    Args:
        step: the how-manieth that is, from 1.
    """
    return _hash(b"minipipe.more", digest, _bytes_of(step)).digest()


def _bytes_of(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "little")


def _text(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")  # a name may be any text


def _hash(purpose: bytes, *fields: bytes) -> blake2b:
    """A hash of these fields, each with its length, so that no two lists of them are alike."""
    hashed = blake2b(digest_size=DIGEST_BYTES, person=purpose)
    for field in fields:
        hashed.update(len(field).to_bytes(8, "little") + field)
    return hashed
