"""Where tokens are read from: as they are, `@FILE`, MINIPIPE_TOKEN; and their file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from minipipe.errors import TokenError
from minipipe.protocol.hosts.endpoints import Endpoint
from minipipe.protocol.hosts.token import Token
from minipipe.transport.token_text import read_token, write_token

TOKEN = Token((Endpoint("10.0.0.7", 7711),), b"k" * 32, b"s" * 32)


def test_each_place_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("\ufeff" + TOKEN.text + "\r\n", encoding="utf-8")
    for given, environ in (
        (TOKEN.text, {"MINIPIPE_TOKEN": "another"}),
        (f"@{path}", {}),
        (None, {"MINIPIPE_TOKEN": TOKEN.text}),
        (None, {"MINIPIPE_TOKEN": f"@{path}"}),
    ):
        assert read_token(given, environ) == TOKEN


@pytest.mark.parametrize(
    ("given", "environ", "says"),
    [
        (None, {}, "the token is missing: give it, or @FILE, or set MINIPIPE_TOKEN"),
        (None, {"MINIPIPE_TOKEN": ""}, "the token from MINIPIPE_TOKEN is empty"),
        ("@missing", {}, "the token from the file 'missing' cannot be read: No such file"),
        ("@.", {}, "the token from the file '.' cannot be read: Is a directory"),
        ("@", {}, "the token from the file '' cannot be read: No such file"),
        (f"@{TOKEN.text}", {}, "the token is a token, not a file: leave the @ away"),
        ("@ " + TOKEN.text[:90], {}, "is a token, not a file: leave the @ away"),
        (None, {"MINIPIPE_TOKEN": f"@{TOKEN.text}"}, "the token from MINIPIPE_TOKEN is a token"),
        ("@a\0b", {}, "cannot be read: embedded null byte"),
        ("@large", {}, "the token from the file 'large' is none: that file has more than"),
        ("@bytes", {}, "the token from the file 'bytes' is none of MiniPipe's"),
        ("@cut", {}, "the token from the file 'cut' was cut: 9 characters are missing"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(
    given: str | None,
    environ: dict[str, str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("large").write_bytes(b"A" * 70_000)
    Path("bytes").write_bytes(b"\xff" * 100)
    Path("cut").write_text(TOKEN.text[:-9])
    with pytest.raises(TokenError) as caught:
        read_token(given, environ)
    assert says in str(caught.value)
    assert TOKEN.text[70:90] not in str(caught.value)
    assert caught.value.__context__ is None  # an error of the system has the name in it


def test_its_file_is_this_users_and_replaces_that_of_the_last_run(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("that of the last run")
    path.chmod(0o644)
    write_token(TOKEN, path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert read_token(f"@{path}", {}) == TOKEN
    assert os.listdir(tmp_path) == ["token"]
    with pytest.raises(IsADirectoryError):
        write_token(TOKEN, tmp_path)
    with pytest.raises(FileNotFoundError):
        write_token(TOKEN, tmp_path / "missing" / "token")
    assert os.listdir(tmp_path) == ["token"]
