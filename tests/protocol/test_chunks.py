"""Messages that several processes write to one pipe in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.run import chunks as module
from minipipe.protocol.run.chunks import Assembly, ForeignDataError, chunks

LIMIT = 32  # bytes of a chunk


@given(st.data())
def test_what_is_written_comes_whole_and_in_order(data: st.DataObject) -> None:
    """Of each writer, whatever the others do meanwhile, and however it is read."""
    messages = data.draw(
        st.dictionaries(st.integers(1, 2**32 - 1), st.lists(st.binary(max_size=200), max_size=5))
    )
    waiting = {
        process: [c for n, m in enumerate(its) for c in chunks(m, process, n, LIMIT)]
        for process, its in messages.items()
    }
    assert all(len(chunk) <= LIMIT for its in waiting.values() for chunk in its)
    stream = b""
    while any(waiting.values()):
        process = data.draw(st.sampled_from([p for p, its in waiting.items() if its]))
        stream += waiting[process].pop(0)
    assembly, whole = Assembly(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        whole += assembly.add(stream[:size])
        stream = stream[size:]
    assert sorted(whole) == sorted(m for its in messages.values() for m in its)
    for its in messages.values():
        left = iter(whole)
        assert all(message in left for message in its)  # as a subsequence


def test_a_message_whose_writer_died_keeps_nobody_from_theirs() -> None:
    first, *_ = chunks(b"x" * 100, 1, 0, LIMIT)
    assembly = Assembly()
    assert assembly.add(first) == []
    assert assembly.add(b"".join(chunks(b"another", 2, 0, LIMIT))) == [b"another"]


def test_ends_that_never_come_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN_BYTES", 1000)
    assembly = Assembly()
    for process in range(1000):
        first, *_ = chunks(b"x" * 100, process, 0, LIMIT)
        assert assembly.add(first) == []
    assert assembly._open_bytes <= 1000
    assert sum(len(part) for parts in assembly._open.values() for part in parts) <= 1000
    assert assembly.add(b"".join(chunks(b"whole", 7, 1, LIMIT))) == [b"whole"]


def test_an_empty_message_is_one() -> None:
    assert Assembly().add(b"".join(chunks(b"", 1, 2, LIMIT))) == [b""]


def test_what_others_write_is_refused() -> None:
    with pytest.raises(ForeignDataError, match="no chunk"):
        Assembly().add(b"a line that something has printed\n")
