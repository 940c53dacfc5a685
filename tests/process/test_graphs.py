"""PipeSystem: segments in any order, joined by the streams that they share."""

from __future__ import annotations

import functools
import gc
import logging
import multiprocessing
import time
from collections import Counter

import pytest

import minipipe as mp
from tests.process.functors import Collect, run, same, streams


# ------------------------------------------------------------------ what flows where
def test_each_item_of_a_shared_stream_goes_to_one_getter() -> None:
    s, a, b = streams(3)
    psys = mp.PipeSystem(
        [
            mp.Source(range(100), "one", s),
            mp.Source(range(100, 200), "two", s),
            mp.Sink(Collect(), "first", s),
            mp.Transform(same, "pass", s, a),
            mp.Transform(same, "on", a, b, n_processes=2),
            mp.Sink(Collect(), "second", b),
        ]
    )
    results = psys.run().close(30)
    assert sorted(results["first"] + results["second"]) == list(range(200))


def test_whoever_is_free_first_gets_the_item() -> None:
    def slow(x: int) -> int:
        time.sleep(0.05)
        return x

    s, a = streams(2)
    psys, kept = run(
        [
            mp.Source(range(200), downstreams=s),
            mp.Transform(slow, "slow", s, a),
            mp.Transform(lambda x: (time.sleep(0.001), x)[1], "quick", s, a),
            mp.Sink(Collect(), "keep", a),
        ]
    )
    assert sorted(kept) == list(range(200))
    assert psys.stats()["slow"].items_in < 60


def test_several_producers_of_several_kinds_share_a_stream() -> None:
    def twice():
        while True:
            x = yield
            yield x
            yield x

    s, t, out = streams(3)
    _, kept = run(
        [
            mp.Sink(Collect(), "keep", out),
            mp.Regulator(twice, "twice", s, out),
            mp.Transform(same, "pass", t, out, n_processes=2),
            mp.Source(range(50), "s", s),
            mp.Source(range(50), "t", t),
            mp.Source(range(50), "u", out),
        ]
    )
    assert Counter(kept) == Counter({i: 4 for i in range(50)})


def test_a_stream_may_be_shared_by_segments_with_and_without_state() -> None:
    def echo():
        while True:
            x = yield
            yield x

    s, out = streams(2)
    psys, kept = run(
        [
            mp.Source(range(300), downstreams=s),
            mp.Regulator(echo, "one", s, out),
            mp.Transform(same, "pass", s, out, n_processes=2),
            mp.Regulator(echo, "two", s, out),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    assert sorted(kept) == list(range(300))
    assert psys.stats()["one"].kept_items == 0


def test_a_switch_sends_each_element_its_way_and_none_nowhere() -> None:
    def switch(x: int):
        return {0: [x, None, None], 1: (None, x, x), 2: [None] * 3}.get(x % 4)

    s, *ways = streams(4)
    psys = mp.PipeSystem(
        [
            mp.Source(range(80), downstreams=s),
            mp.Transform(switch, "switch", s, ways, n_processes=2),
            *(mp.Sink(Collect(), f"way_{i}", way) for i, way in enumerate(ways)),
        ]
    )
    results = psys.run().close(30)
    assert sorted(results["way_0"]) == list(range(0, 80, 4))
    assert sorted(results["way_1"]) == sorted(results["way_2"]) == list(range(1, 80, 4))
    assert sum(w.dropped for w in psys.stats().segment("switch")) == 40


def test_switches_behind_switches_settle_every_item() -> None:
    def divisors(x: int):
        return [x if x % n == 0 else None for n in (2, 3, 5)]

    s, out, *middle = streams(5)
    leaves = [[mp.Stream(f"leaf {i} {j}") for j in range(3)] for i in range(3)]
    switches = [mp.Transform(divisors, f"t{i}", middle[i], leaves[i]) for i in range(3)]
    merges = [mp.Transform(lambda x: x + 0, upstreams=leaf, downstreams=out) for leaf in leaves[0]]
    psys, kept = run(
        [
            mp.Source(range(1, 121), downstreams=s),
            mp.Transform(divisors, "root", s, middle, n_processes=2),
            *switches,
            *merges,
            *(mp.Sink(same, upstreams=leaf) for row in leaves[1:] for leaf in row),
            mp.Sink(Collect(), "keep", out),
        ]
    )
    expected = [x for x in range(1, 121) for n in (2, 3, 5) if x % 2 == 0 and x % n == 0]
    assert sorted(kept) == expected
    assert psys.stats()["Source"].kept_items == 0


def test_object_switches_and_sources_with_several_downstreams() -> None:
    class Switch:
        def local_init(self) -> None:
            self.count = 0

        def run(self, x: int):
            self.count += 1
            return [x, None] if self.count % 2 else [None, x]

    s, t, a, b = streams(4)
    psys = mp.PipeSystem(
        [
            mp.Source([(i, -i if i % 2 else None) for i in range(40)], downstreams=[s, t]),
            mp.Transform(Switch(), "switch", s, [a, b]),
            mp.Sink(Collect(), "a", a),
            mp.Sink(Collect(), "b", b),
            mp.Sink(Collect(), "t", t),
        ]
    )
    assert psys.run().close(30) == {
        "a": list(range(0, 40, 2)),
        "b": list(range(1, 40, 2)),
        "t": [-i for i in range(1, 40, 2)],
    }


def test_a_source_that_yields_a_bare_none_or_the_sentinel_for_several_downstreams() -> None:
    a, b = streams(2)
    psys = mp.PipeSystem(
        [
            mp.Source([(1, 2), None, (3, 4), mp.Sentinel, (5, 6)], downstreams=[a, b]),
            mp.Sink(Collect(), "a", a),
            mp.Sink(Collect(), "b", b),
        ]
    )
    assert psys.run().close(30) == {"a": [1, 3], "b": [2, 4]}


# --------------------------------------------------------------- functors of all kinds
class Doubles:
    def __init__(self, factor: int = 2) -> None:
        self.factor = factor

    def __call__(self, x: int) -> int:
        return self.factor * x

    def method(self, x: int) -> int:
        return self.factor * x

    @staticmethod
    def static(x: int) -> int:
        return 2 * x

    def local_term(self) -> str:
        return f"by {self.factor}"


@pytest.mark.parametrize(
    "functor",
    [
        lambda x: 2 * x,
        functools.partial(lambda a, x: a * x, 2),
        Doubles().method,
        Doubles.static,
        Doubles(),
        Doubles,
    ],
    ids=["lambda", "partial", "bound", "static", "call", "class"],
)
def test_whatever_can_be_called_is_a_functor(functor) -> None:
    a, b = streams(2)
    _, kept = run(
        [
            mp.Source(range(5), downstreams=a),
            mp.Transform(functor, "t", a, b),
            mp.Sink(Collect(), "keep", b),
        ]
    )
    assert kept == [0, 2, 4, 6, 8]


def test_hooks_are_looked_up_on_whatever_is_called() -> None:
    a, b = streams(2)
    psys = mp.PipeSystem(
        [
            mp.Source([1], downstreams=a),
            mp.Transform(Doubles(7), "t", a, b),
            mp.Sink(same, "s", b),
        ]
    )
    assert psys.run().close(30) == {"t": "by 7"}


def test_init_kwargs_reach_local_init_and_class_and_functions_ignore_them() -> None:
    class Init:
        def local_init(self, offset: int) -> None:
            self.offset = offset

        def run(self, x: int) -> int:
            return x + self.offset

    a, b, c, d = streams(4)
    _, kept = run(
        [
            mp.Source(range(3), downstreams=a),
            mp.Transform(Init(), "object", a, b, init_kwargs={"offset": 10}),
            mp.Transform(Doubles, "class", b, c, init_kwargs={"factor": 3}),
            mp.Transform(same, "function", c, d, init_kwargs={"unused": 1}),
            mp.Sink(Collect(), "keep", d),
        ]
    )
    assert kept == [30, 33, 36]


def test_a_local_init_that_raises_ends_the_run_with_its_name() -> None:
    class Bad:
        def local_init(self) -> None:
            raise RuntimeError("no such table")

        def run(self, x: int) -> None: ...

    a = mp.Stream()
    with pytest.raises(RuntimeError, match="no such table") as caught:
        run([mp.Source([1], downstreams=a), mp.Sink(Bad(), "bad", a)])
    assert "in its local_init of segment 'bad'" in caught.value.__notes__[0]


# ------------------------------------------------------------------------ the lifecycle
def test_a_system_is_built_run_and_reset_as_a_line_is(caplog) -> None:
    a = mp.Stream("a")
    psys = mp.PipeSystem([mp.Source(range(3), "load", a), mp.Sink(Collect(), "keep", a)])
    assert not psys.built
    assert psys.build("warning", monitor=False, ignore_exceptions=None) is psys
    assert psys.built
    assert [s.name for s in psys.segments] == [s.name for s in psys.pipes] == ["load", "keep"]
    with psys:
        pass
    assert psys.results == {"keep": [0, 1, 2]}
    psys.reset()
    assert psys.results == {}
    assert psys.run().close() == {"keep": [0, 1, 2]}


def test_ignore_exceptions_of_build_replace_those_of_all_segments(caplog) -> None:
    def sevenths(x: int) -> int:
        if x == 2:
            raise KeyError(x)
        return 7 // x

    def system() -> mp.PipeSystem:
        a, b = streams(2)
        return mp.PipeSystem(
            [
                mp.Source(range(4), downstreams=a),
                mp.Transform(sevenths, "t", a, b, ignore_exceptions=[KeyError]),
                mp.Sink(Collect(), "keep", b),
            ]
        )

    psys = system()
    psys.build(ignore_exceptions=[ArithmeticError, LookupError])
    assert psys.run().close(30) == {"keep": [7, 2]}
    with pytest.raises(KeyError):
        system().build(ignore_exceptions=[ZeroDivisionError]).run().close(30)


def test_the_same_system_may_be_run_while_another_one_runs() -> None:
    def system() -> mp.PipeSystem:
        a = mp.Stream()
        return mp.PipeSystem([mp.Source(range(50), downstreams=a), mp.Sink(Collect(), "keep", a)])

    one, two = system().run(), system().run()
    assert one.close(30) == two.close(30) == {"keep": list(range(50))}


def test_names_used_twice_get_numbers_and_workers_too() -> None:
    a, b, c = streams(3)
    psys, _ = run(
        [
            mp.Source([1], downstreams=a),
            mp.Transform(same, "t", a, b, n_processes=2),
            mp.Transform(same, "t", b, c),
            mp.Sink(same, upstreams=c),
        ]
    )
    names = [w.worker for w in psys.stats().workers]
    assert names == ["Source", "t_0/0", "t_0/1", "t_1", "Sink"]


def test_streams_and_segments_have_the_methods_they_had() -> None:
    a, b = streams(2, buffer_size=4)
    t = mp.Transform(same, "t")
    t.set_upstreams([a])
    t.set_downstreams([b])
    assert (t.get_upstreams(), t.get_downstreams(), t.functor_obj) == ([a], [b], same)
    assert a.empty() and not a.full() and a.capacity() == 0
    a.put(1)
    a.q.put(2)
    assert a.capacity() == 50 and a.q.qsize() == 2
    assert (a.get(), a.get(), a.get()) == (1, 2, None)
    for i in range(4):
        a.put(i)
    assert a.full()
    a.flush()
    assert a.empty()
    assert mp.Stream("x", 3, 1.0, False, queue_type="mp").timeout == 1.0
    assert issubclass(mp.Transform, mp.Pipe)


def test_the_logger_of_0_1_9_logs_under_a_name(caplog) -> None:
    before = logging.getLogger("minipipe").level
    try:
        mp.Logger("info").log("loading", "loader")
        mp.Logger("WARNING").log("slow", "loader", "warning")
    finally:
        logging.getLogger("minipipe").setLevel(before)
    assert "loader - loading" in caplog.text and "loader - slow" in caplog.text


# ------------------------------------------------------------------------- bad results
@pytest.mark.parametrize(
    ("gives", "got"),
    [
        (lambda x: [x], "a list of 1"),
        (lambda x: (x, x, x), "a tuple of 3"),
        (lambda x: x, "one int"),
        (lambda x: {"a": x, "b": x}, "one dict"),
        (lambda x: "ab", "one str"),
    ],
)
def test_a_result_of_the_wrong_length_is_an_error_with_segment_and_item(gives, got) -> None:
    s, a, b = streams(3)
    segments = [
        mp.Source([10, 11], downstreams=s),
        mp.Transform(gives, "switch", s, [a, b]),
        mp.Sink(same, "a", a),
        mp.Sink(same, "b", b),
    ]
    with pytest.raises(mp.OutputsError, match=f"switch' has 2 downstreams.*got {got}") as caught:
        run(segments)
    assert "segment 'switch'" in caught.value.__notes__[0]
    assert "at item 0 of 'Source' (10)" in caught.value.__notes__[0]


def test_a_source_that_yields_the_wrong_length_is_an_error() -> None:
    a, b = streams(2)
    segments = [
        mp.Source([(1, 2), (3,)], "load", [a, b]),
        mp.Sink(same, "a", a),
        mp.Sink(same, "b", b),
    ]
    with pytest.raises(mp.OutputsError, match=r"'load' has 2 .*a tuple of 1") as caught:
        run(segments)
    assert "segment 'load'" in caught.value.__notes__[0]


# ------------------------------------------------------------- bad graphs, told at build
def source(*downstreams: mp.Stream, name: str = "load") -> mp.Source:
    return mp.Source([1], name, list(downstreams))


def sink(*upstreams: mp.Stream, name: str = "save") -> mp.Sink:
    return mp.Sink(lambda *x: None, name, list(upstreams))


A, B, C = streams(3)


@pytest.mark.parametrize(
    ("segments", "text"),
    [
        ([], "the system is empty"),
        ([source(A), sink(B)], "nobody takes from stream 's0', which Source 'load' puts to"),
        ([source(A), sink(A, B)], "nobody puts to stream 's1', which Sink 'save' takes from"),
        ([source(A, B), sink(A)], "nobody takes from stream 's1'"),
        ([source(), sink(A)], "Source 'load' puts to no stream: give it downstreams"),
        ([source(A), sink()], "Sink 'save' takes from no stream: give it upstreams"),
        (
            [source(A), mp.Transform(same, "t", A), sink(A)],
            "Transform 't' puts to no stream.*or make it a Sink",
        ),
        (
            [source(A), mp.Transform(same, "t", downstreams=B), sink(A, B)],
            "Transform 't' takes from no stream",
        ),
        (
            [source(A), sink(A), source(B, name="other"), sink(B, name="rest")],
            "two graphs in this PipeSystem: nothing joins 'load' and 'other'",
        ),
        ([source(A), sink(A), mp.Sink], r"got the class: write mp.Sink\(...\)"),
        ([source(A), sink(A), print], "made of segments, got <built-in function print>"),
        ([source(A), mp.Sink(lambda: None, "save", A)], "Sink 'save' is called with one item"),
        (
            [source(A), mp.Transform(lambda x, y: x, "t", A, B), sink(B)],
            "Transform 't' is called with one item",
        ),
        (
            [source(A), source(B, name="b"), mp.Transform(same, "t", [A, B], C), sink(C)],
            "'t' is called with one item of each of its 2 upstreams",
        ),
    ],
)
def test_a_graph_that_cannot_run_is_told_at_build(segments, text: str) -> None:
    with pytest.raises(mp.BuildError, match=text):
        mp.PipeSystem(segments).build()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: mp.Source([1], "s", upstreams=[A]), "Source 's' has no upstreams"),
        (lambda: mp.Source([1], "s").set_upstreams([A]), "Source 's' has no upstreams"),
        (lambda: mp.Sink(print, "s", downstreams=[A]), "Sink 's' has no downstreams"),
        (lambda: mp.Sink(print, "s").set_downstreams([A]), "Sink 's' has no downstreams"),
        (lambda: mp.Transform(same, "t", [A, A]), "upstreams of Transform 't' lists the same"),
        (lambda: mp.Transform(same, "t", A, [B, B]), "downstreams of Transform 't' lists the"),
        (lambda: mp.Transform(same, "t", "ab"), "upstreams of Transform 't' lists mp.Stream"),
        (lambda: mp.Transform(same, "t", mp.Stream), "upstreams of Transform 't'"),
        (lambda: mp.Transform(same, "t", 3), "upstreams of Transform 't' is a list"),
        (lambda: mp.Stream(buffer_size=0), "buffer_size of stream 'stream'.*got 0"),
        (lambda: mp.Stream(buffersize=1), "did you mean 'buffer_size'"),
        (lambda: mp.Stream(broadcast=1), "broadcast of stream 'stream' is True or False"),
        (lambda: mp.Stream(""), "the name of a stream is a text"),
        (lambda: mp.PipeSystem([], pips=1), "did you mean 'pipes'"),
        (lambda: mp.PipeSystem(source(A)).build(), "takes a list of segments"),
        (lambda: mp.Source([1], n_processes=0), "n_processes of Source 'Source'"),
        (lambda: mp.PipeLine([source(A), sink(A)]), "streams of its own.*mp.PipeSystem"),
    ],
)
def test_what_cannot_be_declared_is_told_at_once(make, text: str) -> None:
    with pytest.raises(mp.BuildError, match=text):
        make()


def test_a_segment_in_two_systems_is_told_at_build() -> None:
    a = mp.Stream()
    shared, save = source(a), sink(a)
    one = mp.PipeSystem([shared, save]).build()
    assert one.built
    with pytest.raises(mp.BuildError, match="Source 'load' is in another PipeSystem already"):
        mp.PipeSystem([shared, save]).build()
    one.build()


def test_a_segment_of_a_system_that_is_gone_may_be_used_again() -> None:
    a = mp.Stream()
    segments = [source(a), sink(a)]
    mp.PipeSystem(segments).build()
    gc.collect()
    mp.PipeSystem(segments).build()


def test_a_segment_twice_in_a_system_is_told_at_build() -> None:
    a = mp.Stream()
    save = sink(a)
    with pytest.raises(mp.BuildError, match="Sink 'save' is in the PipeSystem twice"):
        mp.PipeSystem([source(a), save, save]).build()


def test_a_stream_with_a_reader_in_another_system_has_none_in_this_one() -> None:
    a, b = streams(2)
    mp.PipeSystem([source(a), sink(a)]).build()
    with pytest.raises(mp.BuildError, match="nobody takes from stream 's0'"):
        mp.PipeSystem([source(a, b), sink(b)]).build()


def test_a_system_is_not_iterated_and_says_why() -> None:
    a = mp.Stream()
    psys = mp.PipeSystem([source(a), sink(a)])
    with pytest.raises(mp.LifecycleError, match="ends in sink 'save'"):
        iter(psys)


def test_a_seed_that_cannot_be_pickled_is_inherited() -> None:
    lock = multiprocessing.Lock()
    a = mp.Stream()
    a.put(1)
    psys = mp.PipeSystem([mp.Sink(lambda x, lock=lock: lock.acquire(), "save", a)]).run()
    psys.close(30)
    assert not lock.acquire(block=False)
