"""Starts, watches and stops the worker processes of a run, as the lifecycle decides."""

from __future__ import annotations

from minipipe.supervisor.run import Run

__all__ = ["Run"]
