"""Bad input gets a clear answer, before any process starts where that is possible."""

from __future__ import annotations

import pytest

import minipipe as mp


def two(a, b):
    return a + b


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: mp.PipeLine().build(), mp.BuildError, "the pipeline is empty: add a Source"),
        (
            lambda: mp.PipeLine([mp.Transform(len, "t")]).build(),
            mp.BuildError,
            "begins with a Source, and Transform 't' is none",
        ),
        (
            lambda: mp.PipeLine([mp.Source([1], "a"), mp.Source([2], "b")]).build(),
            mp.BuildError,
            "Source 'b' is the second Source",
        ),
        (
            lambda: mp.PipeLine([mp.Source([1]), mp.Sink(print), mp.Sink(print, "b")]).build(),
            mp.BuildError,
            "Sink 'b' comes after Sink 'Sink', which ends the pipeline",
        ),
        (lambda: mp.Transform(3, "t"), mp.BuildError, "Transform 't' needs a function.*got 3"),
        (
            lambda: mp.PipeLine().add(mp.Transform(two, "t")),
            mp.BuildError,
            r"two\(a, b\) of Transform 't' is called with one item.*def f\(item\): x, y = item",
        ),
        (lambda: mp.Source(3, "s"), mp.BuildError, "Source 's' needs an iterable, a function"),
        (lambda: mp.Source(lambda n: [n], "s"), mp.BuildError, "called without arguments"),
        (lambda: mp.Source("files.txt"), mp.BuildError, "needs an iterable"),
        (lambda: mp.Transform(len, n_processes=0), mp.OptionError, "at least 1, got 0"),
        (lambda: mp.Transform(len, n_processes=-1), mp.OptionError, "at least 1, got -1"),
        (lambda: mp.Transform(len, n_processes=2.5), mp.OptionError, "whole number.*got 2.5"),
        (lambda: mp.Transform(len, n_processes="2"), mp.OptionError, "got '2'"),
        (lambda: mp.Transform(len, n_processes=True), mp.OptionError, "got True"),
        (
            lambda: mp.PipeLine().add(mp.Source([1]), n_processes=0),
            mp.OptionError,
            "n_processes of Source 'Source' is a whole number",
        ),
        (
            lambda: mp.PipeLine([mp.Source([1], n_processes=2), mp.Sink(print)]).build(),
            mp.OptionError,
            "n_processes=2: each of its workers would yield all .* take `worker, n_workers`",
        ),
        (lambda: mp.Sink(print, "s", buffer_size=0), mp.OptionError, "of Sink 's' .* got 0"),
        (
            lambda: mp.PipeLine().add(mp.Sink(print), buffer_size="3"),
            mp.OptionError,
            "got '3'",
        ),
        (
            lambda: mp.Transform(len, "t", n_proceses=2),
            mp.OptionError,
            "Transform 't' has no option 'n_proceses'; did you mean 'n_processes'",
        ),
        (
            lambda: mp.PipeLine().add(mp.Sink(print), buffersize=2),
            mp.OptionError,
            "did you mean 'buffer_size'",
        ),
        (lambda: mp.PipeLine().build(inlin=True), mp.OptionError, "did you mean 'inline'"),
        (lambda: mp.PipeLine().run(grace=1), mp.OptionError, "did you mean 'grace_s'"),
        (lambda: mp.PipeLine().run(grace_s=-1), mp.OptionError, "grace_s"),
        (
            lambda: mp.PipeLine([mp.Source([1])]).build(log_lvl="INFOO"),
            mp.OptionError,
            "did you mean 'INFO'",
        ),
        (lambda: mp.PipeLine().add(len), mp.BuildError, "wrap it in mp.Source"),
        (lambda: mp.PipeLine().add(mp.Sink), mp.BuildError, r"write mp.Sink\(...\)"),
        (lambda: mp.Sink(print, ""), mp.OptionError, "name of a segment"),
        (lambda: mp.Sink(print, "\udcff"), mp.OptionError, "a text that UTF-8 can hold"),
        (lambda: mp.Sink(print, ignore_exceptions=[3]), mp.OptionError, "exception classes"),
        (lambda: mp.Sink(print, env={"A": 3}), mp.OptionError, "env"),
    ],
)
def test_bad_input_gets_a_clear_answer(make, error, text) -> None:
    with pytest.raises(error, match=text):
        make()


def test_errors_are_also_the_built_in_that_they_are() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        mp.Transform(len, n_processes=0)
    with pytest.raises(TypeError, match="no option"):
        mp.Transform(len, nprocesses=2)


def test_windows_is_told_about_wsl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    pline = mp.PipeLine([mp.Source([1])])
    with pytest.raises(mp.BuildError, match="WSL 2"):
        pline.build()
    assert list(pline.build(inline=True)) == [1]


def test_a_source_whose_function_returns_no_iterable_is_told_at_the_run() -> None:
    with pytest.raises(mp.BuildError, match="returned 3, which is no iterable"):
        list(mp.PipeLine([mp.Source(lambda: 3)]))


def test_names_used_twice_get_numbers() -> None:
    pline = mp.PipeLine([mp.Source([1]), mp.Transform(abs), mp.Transform(abs)])
    list(pline)
    assert [w.worker for w in pline.stats().workers][:3] == ["Source", "Transform_0", "Transform_1"]
