"""What a shipment of code says of itself: what is read is what was written, and can do no harm."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipipe.errors import WireFormatError
from minipipe.protocol.hosts.shipment import (
    MAX_FILES,
    MAX_SHIPPED_BYTES,
    NOTHING,
    Entry,
    Manifest,
    ShippedFile,
    name_of,
    read_manifest,
    why_unsafe,
    write_manifest,
)

DIGEST = bytes(32)


def of(*paths: str, **fields: object) -> Manifest:
    files = tuple(ShippedFile(path, 1, DIGEST) for path in paths)
    return Manifest(files, origins=("/home", "/lib"), **fields)  # type: ignore[arg-type]


def test_what_is_read_is_what_was_written() -> None:
    manifest = of(
        *("0/a/b.py", "0/ä ö.txt", "1/c/__init__.py", "1/c/d/e.py"),
        entries=(Entry("0"), Entry("1", is_first=False), Entry("0/a")),
        left_out={"x.y": "it is compiled"},
    )
    data = write_manifest(manifest)
    assert read_manifest(data) == manifest
    assert read_manifest(write_manifest(NOTHING)) == NOTHING
    assert name_of(data) != name_of(write_manifest(NOTHING))
    assert manifest.tops() == ["a", "c", "b"]
    assert manifest.path_of("/lib/c/d/e.py") == "1/c/d/e.py"
    assert manifest.path_of("/library/c.py") is manifest.path_of("/lib/c/d") is None


@pytest.mark.parametrize(
    "path",
    (
        *("/etc/passwd", "0//etc/passwd", "../x", "0/../x", "0/a/../../x", "0/.", "0/a/", "", "a"),
        *("2/a", "-1/a", "00/a", "\u0660/a", "0/a\0b", "0/" + 300 * "a", "0/" + 2500 * "a/" + "b"),
        *(".", "..", "manifest", "0/\udc80"),
    ),
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    assert why_unsafe(path, 2) is not None
    for manifest in (of(path), of(entries=(Entry(path),))):
        with pytest.raises(WireFormatError, match=r"names the path|malformed"):
            read_manifest(_packed(manifest))


def _packed(manifest: Manifest) -> bytes:
    """As somebody writes it who is up to no good."""
    files = [[file.path, file.size_bytes, file.digest] for file in manifest.files]
    entries = [[entry.path, entry.is_first] for entry in manifest.entries]
    fields = [1, files, entries, list(manifest.origins), {}, False]
    data: bytes = msgpack.packb(fields, unicode_errors="surrogatepass")
    return data


@pytest.mark.parametrize(
    ("manifest", "said"),
    (
        (of("0/a", "0/a"), "names a file twice"),
        (of("0/a", "0/a/b"), "that is a file"),
        (of("0/a", entries=(Entry("0/a/b"),)), "that is a file"),
        (of("0/a", entries=(Entry("0/a"),)), "that is a file"),
        (of("0"), "no file"),
        (Manifest((ShippedFile("0/a", -1, DIGEST),), origins=("",)), "malformed"),
        (Manifest((ShippedFile("0/a", 1, b"x"),), origins=("",)), "malformed"),
        (
            Manifest((ShippedFile("0/a", MAX_SHIPPED_BYTES + 1, DIGEST),), origins=("",)),
            "is of 67108865 bytes, which is more than 67108864",
        ),
        (of(*(f"0/{number}" for number in range(MAX_FILES + 1))), "malformed"),
    ),
)
def test_what_cannot_be_written_is_refused(manifest: Manifest, said: str) -> None:
    with pytest.raises(WireFormatError, match=said):
        read_manifest(write_manifest(manifest))


def test_another_version_is_refused_as_such() -> None:
    with pytest.raises(WireFormatError, match="is of version 2, and this MiniPipe reads 1"):
        read_manifest(msgpack.packb([2, [], [], [], {}, False]))


@settings(max_examples=50)
@given(st.binary(max_size=60) | st.recursive(st.integers() | st.text() | st.none(), st.lists))
def test_whatever_comes_is_read_or_refused(data: object) -> None:
    try:
        packed = data if isinstance(data, bytes) else msgpack.packb([1, data, data, data, {}, 0])
    except OverflowError:
        return
    try:
        read_manifest(packed)
    except WireFormatError:
        pass
