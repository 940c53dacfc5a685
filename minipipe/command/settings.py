"""`--set decode.n_processes=4`: options of segments, as they are written on a command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minipipe.errors import OptionError, UsageError, did_you_mean
from minipipe.pipeline.runnable import Runnable
from minipipe.segments.segment import Segment
from minipipe.segments.settings import settable
from minipipe.synonyms import suggestion

_WORDS = {"None": None, "True": True, "False": False}
EXAMPLE = "--set decode.n_processes=4"


def apply(pipeline: Runnable, settings: Iterable[str]) -> None:
    """Builds the pipeline, if nobody has, and sets options of its segments.

    Raises:
        UsageError: one names no segment, or no option of it, or a value that it cannot have.
    """
    settings = list(settings)
    if not settings:
        return
    segments = pipeline.segments_by_name()
    found = [parse(setting, segments) for setting in settings]
    try:
        pipeline.set_options(found)
    except OptionError as error:
        raise UsageError(f"--set: {error}") from error


def parse(setting: str, segments: dict[str, Segment]) -> tuple[Segment, str, Any]:
    """Which option of which segment gets which value.

    Args:
        setting: as it was written; names of segments may have points and equals signs in them.
        segments: by name.

    Raises:
        UsageError: there is none of that name, or it is written otherwise.
    """
    names = [name for name in segments if setting.startswith(f"{name}.")]
    if names:
        name = max(names, key=len)
        option, equals, value = setting[len(name) + 1 :].partition("=")
    else:
        head, equals, value = setting.partition("=")
        name, _, option = head.rpartition(".")
    if not (name and option and equals):
        raise UsageError(f"--set {setting}: it is written SEGMENT.OPTION=VALUE, as in {EXAMPLE}")
    if name not in segments:
        raise UsageError(
            f"--set {setting}: the pipeline has no segment {name!r}"
            f"{did_you_mean(name, segments)} (it has {', '.join(map(repr, segments))})"
        )
    segment = segments[name]
    known = settable(segment)
    if option not in known:
        raise UsageError(
            f"--set {setting}: {segment.where} has no option {option!r} that can be set here"
            f"{suggestion(option, known)} (it has {', '.join(sorted(known))})"
        )
    return segment, option, value_of(value)


def value_of(text: str) -> Any:
    """The None, True, False, int, float or text that is meant; nothing is evaluated.

    >>> value_of("4"), value_of("0.5"), value_of("None"), value_of("skip"), value_of("'4'")
    (4, 0.5, None, 'skip', '4')
    """
    if text in _WORDS:
        return _WORDS[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text
