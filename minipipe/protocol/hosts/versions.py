"""Whether two hosts can work together: their Python, MiniPipe, and packages, compared.

Functors travel as bytecode, and what cloudpickle writes names its own functions: where these
differ, a worker fails late, in a way that nobody understands.  So what cannot work is refused at
the join, and what may is warned of, each with a table of both sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from minipipe.errors import WireFormatError

MAX_PACKAGES_BYTES = 1 << 15  # of what a host says of its packages when it joins
_MAX_PACKAGES = 1000
_EACH_BYTES = 16  # for each, of what stands around it in a message
_PACKAGE = "package "
_MAX_TEXT = 200
_RELEASE = re.compile(r"v?(?:\d+!)?(\d+)(?:\.(\d+))?")
_MISSING = "missing"


@dataclass(frozen=True)
class Versions:
    """What a host runs.

    Attributes:
        python: its version ("3.12.1").
        implementation: of Python ("CPython").
        byte_order: "little" or "big".
        bits: of a pointer.
        packages: versions by name, in small letters with hyphens ("scikit-learn").
        is_whole: it has no other packages.
    """

    python: str
    implementation: str
    byte_order: str
    bits: int
    packages: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True

    def to_facts(self) -> dict[str, str]:
        """The same for `Offer.facts`, with no more of the packages than fit in."""
        kept: dict[str, str] = {}
        left_bytes = MAX_PACKAGES_BYTES
        for name in sorted(self.packages, key=lambda name: (name not in _CORE, name)):
            left_bytes -= len((name + self.packages[name]).encode()) + _EACH_BYTES
            if left_bytes < 0 or len(kept) == _MAX_PACKAGES:
                break
            kept[_PACKAGE + name] = self.packages[name]
        is_whole = self.is_whole and len(kept) == len(self.packages)
        return {
            "python": self.python,
            "implementation": self.implementation,
            "byte_order": self.byte_order,
            "bits": str(self.bits),
            "other_packages": "none" if is_whole else "some",
            **kept,
        }


def from_facts(facts: Mapping[str, str]) -> Versions:
    """What another host said.

    Raises:
        WireFormatError: something is not in it.
    """
    facts = {name: _shown(text) for name, text in facts.items()}
    packages = {
        _shown(name.removeprefix(_PACKAGE)): text
        for name, text in facts.items()
        if name.startswith(_PACKAGE)
    }
    try:
        return Versions(
            facts["python"],
            facts["implementation"],
            facts["byte_order"],
            int(facts["bits"]),
            packages,
            facts["other_packages"] == "none",
        )
    except (KeyError, ValueError):
        # (Not as its cause, which may hold what somebody else wants on a terminal.)
        malformed = WireFormatError("what a host says of its versions is not whole")
    raise malformed


def _shown(text: str) -> str:
    """What may stand in a table on somebody's terminal."""
    return "".join(character if character.isprintable() else "?" for character in text[:_MAX_TEXT])


@dataclass(frozen=True)
class Verdict:
    """What a comparison came to.

    Attributes:
        refused: they cannot work together.
        table: of both sides, in lines.
        warnings: what may go wrong, a line each.
        differing: what they cannot work together for.
    """

    refused: bool
    table: str
    warnings: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """Why a host was refused, for its user and that of the run to read."""
        return f"{' and '.join(self.differing)} cannot differ between hosts:\n{self.table}"


@dataclass(frozen=True)
class _Row:
    label: str
    ours: str
    theirs: str
    remark: str = ""
    refuses: bool = False


# How packages are called in the table, and whether more than the major version must agree.
_CORE = {
    "minipipe": ("MiniPipe", True),
    "numpy": ("NumPy", False),
    "msgpack": ("msgpack", False),
    "cloudpickle": ("cloudpickle", False),
}


def compare(
    ours: Versions,
    theirs: Versions,
    *,
    needed: Iterable[str] = (),
    our_name: str = "this run",
    their_name: str = "that host",
) -> Verdict:
    """Compares what the run has with what a host has that wants to join.

    Args:
        ours: of the run.
        theirs: of the host.
        needed: packages whose modules functors name. One that is missing there is warned of and
            not refused: no segment that needs it need be placed there.
        our_name, their_name: heads of the table.
    """
    rows = [*_of_python(ours, theirs), *_of_core(ours, theirs)]
    rows += _of_needed(ours, theirs, [name for name in needed if name not in _CORE])
    warned = [row for row in rows if row.remark and not row.refuses]
    warnings = tuple(
        f"{row.label} is {row.theirs} on {their_name}, and {row.ours} in {our_name}: {row.remark}"
        for row in warned
    )
    table = _table([_Row("", our_name, their_name), *rows])
    differing = tuple(row.label for row in rows if row.refuses)
    return Verdict(bool(differing), table, warnings, differing)


def _of_python(ours: Versions, theirs: Versions) -> Iterator[_Row]:
    is_other = _release(ours.python) != _release(theirs.python)
    remark = "must be the same but for its last part: functions travel as bytecode"
    yield _Row("Python", ours.python, theirs.python, remark if is_other else "", is_other)
    if ours.implementation != theirs.implementation:
        yield _Row(
            "Interpreter",
            ours.implementation,
            theirs.implementation,
            "must be the same: bytecode",
            True,
        )
    if (ours.byte_order, ours.bits) != (theirs.byte_order, theirs.bits):
        mine, there = (f"{one.bits} bit, {one.byte_order} endian" for one in (ours, theirs))
        yield _Row("Processor", mine, there, "must be the same: arrays travel as they are", True)


def _of_core(ours: Versions, theirs: Versions) -> Iterator[_Row]:
    for name, (label, is_exact) in _CORE.items():
        mine, there = (one.packages.get(name, _MISSING) for one in (ours, theirs))
        if _MISSING in (mine, there):
            yield _Row(label, mine, there, "is needed on both sides", True)
        elif mine == there:
            yield _Row(label, mine, there)
        elif is_exact:
            yield _Row(label, mine, there, "must be the same", True)
        elif _release(mine)[:1] != _release(there)[:1]:
            yield _Row(label, mine, there, "must be of the same major version", True)
        else:
            yield _Row(label, mine, there, "may differ in what it does")


def _of_needed(ours: Versions, theirs: Versions, needed: Iterable[str]) -> Iterator[_Row]:
    for name in dict.fromkeys(needed):
        if name not in ours.packages:
            continue
        mine = ours.packages[name]
        there = theirs.packages.get(name, _MISSING if theirs.is_whole else "unknown")
        if there == _MISSING:
            yield _Row(name, mine, there, "functors that import it fail there")
        else:
            is_other = there not in (mine, "unknown")
            yield _Row(name, mine, there, "functors import it" if is_other else "")


def _release(version: str) -> tuple[int, ...]:
    """Major and minor version; nothing of what is none.

    >>> _release("3.12.1rc1"), _release("2")
    ((3, 12), (2, 0))
    """
    found = _RELEASE.match(version)
    return () if found is None else (int(found[1]), int(found[2] or 0))


def _table(rows: list[_Row]) -> str:
    cells = [(row.label, row.ours, row.theirs, row.remark) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = []
    for *columns, remark in cells:
        padded = [text.ljust(width) for text, width in zip(columns, widths, strict=True)]
        lines.append("  ".join([*padded, remark]).rstrip())
    return "\n".join(lines)
