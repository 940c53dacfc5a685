"""The user's code on another host: unpacked safely, and what is missing there is named."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipipe.errors import StartError, WireFormatError
from minipipe.protocol.hosts.shipment import Entry, Manifest, ShippedFile, write_manifest
from minipipe.worker import missing_modules, unpacking
from minipipe.worker.failure import capture
from minipipe.worker.missing_modules import host_hint, remember_host
from minipipe.worker.unpacking import Unpacker

TEXTS = {"0/mine/__init__.py": b"X = 1\n", "0/mine/empty.py": b"", "0/train.py": b"X = 1\n"}


def manifest_of(texts: dict[str, bytes], **fields: object) -> Manifest:
    files = [ShippedFile(path, len(d), hashlib.sha256(d).digest()) for path, d in texts.items()]
    entries, origins = (Entry("0"), Entry("0/behind", is_first=False)), ("/home/me",)
    return Manifest(tuple(files), entries, origins, **fields)  # type: ignore[arg-type]


def packed(texts: dict[str, bytes]) -> bytes:
    return zlib.compress(b"".join(dict.fromkeys(texts.values())))


@pytest.fixture
def unpacker(tmp_path: Path) -> Unpacker:
    return Unpacker(str(tmp_path / "code"), "gpu-1")


def unpack(unpacker: Unpacker, texts: dict[str, bytes]) -> unpacking.Unpacked:
    return unpacker.unpack(write_manifest(manifest_of(texts)), packed(texts))


def left(tmp_path: Path) -> list[str]:
    code = tmp_path / "code"
    return sorted(os.listdir(code)) if code.exists() else []


def test_files_are_in_their_places_and_for_nobody_else(unpacker: Unpacker) -> None:
    os.umask(old := os.umask(0))
    os.umask(0)
    try:
        unpacked = unpack(unpacker, TEXTS)
    finally:
        os.umask(old)
    for path, data in TEXTS.items():
        assert Path(unpacked.directory, path).read_bytes() == data
    for folder, _, names in os.walk(os.path.dirname(unpacked.directory)):
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        for name in names:
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600
    first, own, last = unpacked.sys_path(["own"])
    assert (first, own) == (f"{unpacked.directory}/0", "own")
    assert os.path.isdir(last) and last == f"{unpacked.directory}/0/behind"


def test_what_is_here_is_not_sent_again_unless_it_was_changed(unpacker: Unpacker) -> None:
    before = unpack(unpacker, TEXTS)
    assert unpacker.missing(before.manifest) == ()
    texts = {**TEXTS, "0/train.py": b"X = 2\n"}
    manifest = manifest_of(texts)
    assert unpacker.missing(manifest) == (hashlib.sha256(b"X = 2\n").digest(),)
    after = unpacker.unpack(write_manifest(manifest), zlib.compress(b"X = 2\n"))
    for path, data in texts.items():
        assert Path(after.directory, path).read_bytes() == data
    assert unpack(unpacker, TEXTS) == before
    for unpacked in (before, after):
        Path(unpacked.directory, "0/mine/__init__.py").write_bytes(b"X = 3\n")
    Path(before.directory, "0/train.py").write_bytes(b"X = 4\n")
    assert hashlib.sha256(b"X = 1\n").digest() in unpacker.missing(manifest)


@pytest.mark.parametrize(
    ("data", "said"),
    (
        (b"no zlib", "is damaged"),
        (packed(TEXTS)[:-8], "was cut"),
        (packed(TEXTS) + b"more", "more in it"),
        (zlib.compress(b"X = 1\nX"), "more in it"),
        (zlib.compress(b"X = 2\n"), "a digest is wrong"),
        (zlib.compress(bytes(50_000_000)), "a digest is wrong"),
        (b"", "was cut"),
    ),
)
def test_what_is_damaged_leaves_nothing(
    unpacker: Unpacker, tmp_path: Path, data: bytes, said: str
) -> None:
    with pytest.raises(WireFormatError, match=said):
        unpacker.unpack(write_manifest(manifest_of(TEXTS)), data)
    assert left(tmp_path) == []


def test_a_full_disk_is_said_with_host_and_directory(
    unpacker: Unpacker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(path: str, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpacking, "_write_file", fill)
    said = r"host 'gpu-1' cannot unpack .*code.*: No space left.*0\.0 MiB are needed, .* are free"
    with pytest.raises(StartError, match=said):
        unpack(unpacker, TEXTS)
    assert left(tmp_path) == []


def test_nothing_goes_where_others_may_write(unpacker: Unpacker, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code").chmod(0o777)
    with pytest.raises(StartError, match="other users may write there"):
        unpack(unpacker, TEXTS)
    assert left(tmp_path) == []


def test_a_link_in_the_place_of_the_directory_is_not_followed(
    unpacker: Unpacker, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "code").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartError, match="other users may write there"):
        unpack(unpacker, TEXTS)
    assert list((tmp_path / "elsewhere").iterdir()) == []


# ------------------------------------------------------------------ what is missing
@pytest.fixture
def remote(unpacker: Unpacker) -> Iterator[None]:
    """This is a worker on another host."""
    left_out = {"lib": "it lies elsewhere (/opt/lib.py)"}
    manifest = write_manifest(manifest_of(TEXTS, left_out=left_out))
    remember_host("gpu-1", unpacker.unpack(manifest, packed(TEXTS)).directory)
    yield
    remember_host("", "")


def hint_of(statement: str) -> str:
    try:
        exec(statement, {"pickle": pickle})
    except Exception as error:
        return capture(error, "its functor").hint
    raise AssertionError("nothing was raised")


@pytest.mark.usefixtures("remote")
@pytest.mark.parametrize(
    ("statement", "said"),
    (
        (
            "import nowhere.deep",
            "; host 'gpu-1' has no module 'nowhere', and it was not shipped there (shipped were "
            "mine, train, from /home/me): install it there, or run(ship=['nowhere']) ships its "
            "Python files",
        ),
        (
            "raise ModuleNotFoundError(name='lib.sub')",
            "; host 'gpu-1' has no module 'lib.sub', and it was not shipped there, as it lies "
            "elsewhere (/opt/lib.py): install it there, or run(ship=['lib']) ships its Python ",
        ),
        (
            "raise ImportError('cannot import name', name='mine')",
            "; on host 'gpu-1' 'mine' is what was shipped (shipped were mine, train, from /home",
        ),
        ("pickle.loads(b'cjson\\nnothing\\n.')", "; on host 'gpu-1' 'json' is what is installed"),
        ("open('nowhere.txt')", "; this was on host 'gpu-1', where relative paths are looked up"),
        ("open('/nowhere.txt')", "; this was on host 'gpu-1': files are looked for there"),
        ("1 / 0", ""),
        ("().nothing", ""),
    ),
)
def test_an_error_on_another_host_says_what_is_not_there(statement: str, said: str) -> None:
    hint = hint_of(statement)
    assert hint.startswith(said) and bool(hint) == bool(said)


def test_nothing_shipped_is_said_and_at_home_nothing_is() -> None:
    assert hint_of("import nowhere") == ""
    try:
        remember_host("gpu-1", "")
        assert "(ship=False)" in hint_of("import nowhere")
        remember_host("gpu-1", "/nowhere")
        assert "(no code was)" in host_hint(ModuleNotFoundError(name="nowhere"))
    finally:
        remember_host("", "")
    assert missing_modules._host == ""
