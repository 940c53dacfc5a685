"""Parts are dealt out to ranks and workers: each once, whatever the numbers of both."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from minipipe.protocol.sharing import Dealing, permutation

COUNTS = st.integers(0, 60)
WORKERS = st.integers(1, 7)
KEYS = st.tuples(st.integers(0, 2**64), st.integers(0, 5), st.integers(0, 5))


def dealt(dealing: Dealing, parts: int, workers: int, key: tuple[int, int, int]) -> list[int]:
    return [i for w in range(workers) for i in dealing.of_worker(parts, w, workers, key)]


@given(COUNTS, WORKERS, WORKERS, st.booleans(), KEYS)
def test_each_part_is_read_once_a_pass(parts, ranks, workers, shuffle, key) -> None:
    got = [dealt(Dealing(shuffle, rank, ranks), parts, workers, key) for rank in range(ranks)]
    assert sorted(i for mine in got for i in mine) == list(range(parts))
    sizes = [len(mine) for mine in got]
    assert max(sizes) - min(sizes) <= 1
    assert sizes == [Dealing(shuffle, rank, ranks).per_rank(parts) for rank in range(ranks)]


@given(
    COUNTS,
    WORKERS,
    WORKERS,
    WORKERS,
    st.booleans(),
    KEYS,
    st.sampled_from([None, "drop", "repeat"]),
)
def test_what_a_rank_reads_does_not_follow_from_its_workers(
    parts, ranks, some, others, shuffle, key, even
) -> None:
    for rank in range(ranks):
        dealing = Dealing(shuffle, rank, ranks, even)
        assert Counter(dealt(dealing, parts, some, key)) == Counter(
            dealt(dealing, parts, others, key)
        )
        # One worker has them in the order of the pass; several have every n-th of that.
        whole = dealing.of_worker(parts, 0, 1, key)
        for worker in range(some):
            assert dealing.of_worker(parts, worker, some, key) == whole[worker::some]


@given(COUNTS, WORKERS, st.booleans(), KEYS, st.sampled_from(["drop", "repeat"]))
def test_even_ranks_have_equally_many(parts, ranks, shuffle, key, even) -> None:
    got = [Dealing(shuffle, rank, ranks, even).of_worker(parts, 0, 1, key) for rank in range(ranks)]
    assert len({len(mine) for mine in got}) == 1
    times = Counter(i for mine in got for i in mine)
    left_over = parts % ranks
    if even == "drop":
        assert set(times.values()) <= {1} and sum(times.values()) == parts - left_over
    elif parts:
        assert set(times) == set(range(parts))
        assert sum(times.values()) == parts + (ranks - left_over) % ranks


@given(COUNTS, KEYS)
def test_a_permutation_has_each_number_once(count, key) -> None:
    assert sorted(permutation(count, key)) == list(range(count))
    assert permutation(count, key) == permutation(count, key)


def test_orders_stay_as_they_are() -> None:
    # Promised: the same seed gives the same order, also in a later version.
    assert permutation(8, (0, 0, 0)) == TABLE[0]
    assert permutation(8, (1, 0, 0)) == TABLE[1]
    assert permutation(8, (0, 1, 0)) == TABLE[2]
    assert permutation(8, (0, 0, 1)) == TABLE[3]


TABLE = [
    [6, 3, 5, 0, 7, 2, 1, 4],
    [1, 6, 0, 3, 7, 4, 2, 5],
    [3, 1, 0, 4, 5, 6, 7, 2],
    [2, 4, 7, 0, 6, 3, 5, 1],
]
