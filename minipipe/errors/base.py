"""The kinds of errors that MiniPipe raises: the base of all, and those without fields."""

from __future__ import annotations


class MiniPipeError(Exception):
    """The base of all errors raised by MiniPipe itself."""


class BuildError(MiniPipeError, ValueError):
    """The pipeline, as declared, cannot run.  Raised before any process starts."""


class OptionError(BuildError, TypeError):
    """An option that does not exist, or has a value that it cannot have."""


class UsageError(MiniPipeError, ValueError):
    """What was written on the command line of `minipipe` cannot be done."""


class LifecycleError(MiniPipeError, RuntimeError):
    """A call that does not fit the state that the pipeline is in."""


class MissingExtraError(MiniPipeError, ImportError):
    """A package that is optional is not installed."""

    def __init__(self, package: str, needed_for: str, extra: str) -> None:
        super().__init__(package, needed_for, extra)
        self.package = package
        self.needed_for = needed_for
        self.extra = extra

    def __str__(self) -> str:
        return (
            f"{self.needed_for} needs the package {self.package}: "
            f"pip install '.[{self.extra}]' in the clone of MiniPipe"
        )


class StateError(MiniPipeError, ValueError):
    """A pipeline, or a loader, has no state to go on from, or cannot go on from this one."""


class StartError(MiniPipeError, RuntimeError):
    """A worker process could not be started."""
