"""Texts of any length, packed into batches of token ids of one shape, as language models want."""

import codecs
import contextlib
import io

import numpy as np

import minipipe as mp

ROWS, LENGTH = 4, 32  # of a batch
PADDING, END = 0, 1  # token ids; the 256 bytes of UTF-8 follow


def documents():
    """Yields texts: the Zen of Python, line by line; on a real data set: from files."""
    with contextlib.redirect_stdout(io.StringIO()):  # the module prints it when it is imported
        import this
    for line in codecs.decode(this.s, "rot13").splitlines():
        if line:
            yield line


def tokenize(text):
    """int32[bytes + 1], the last one being END."""
    return np.array([*(byte + 2 for byte in text.encode()), END], np.int32)


def pack():
    """Takes tokens, gives int32[ROWS, LENGTH]; texts run on from row to row."""
    size = ROWS * LENGTH
    waiting = np.empty(0, np.int32)
    while True:
        try:
            tokens = yield
        except mp.EndOfStream:
            break
        waiting = np.concatenate([waiting, tokens])
        while len(waiting) >= size:
            yield waiting[:size].reshape(ROWS, LENGTH)
            waiting = waiting[size:]
    if len(waiting):  # the tail is not lost: what is yielded now is still passed on
        yield np.pad(waiting, (0, size - len(waiting))).reshape(ROWS, LENGTH)


pline = mp.PipeLine()
pline.add(mp.Source(documents, "documents"))
pline.add(mp.Transform(tokenize, "tokenize"), n_processes=2)
pline.add(mp.Regulator(pack, "pack"))

texts = tokens = padding = 0
for i, batch in enumerate(pline):
    texts += np.count_nonzero(batch == END)
    tokens += np.count_nonzero(batch != PADDING)
    padding += np.count_nonzero(batch == PADDING)
    print(f"batch {i}: {batch.dtype}{list(batch.shape)}")
print(f"{texts} texts, {tokens} tokens, {padding} of padding")
