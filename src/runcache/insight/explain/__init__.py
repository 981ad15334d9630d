"""Why a lookup found what it found, or nothing."""

from runcache.insight.explain.values import (
    Cause,
    Difference,
    Explanation,
    Input,
    Inputs,
    NearMiss,
    Question,
    ReadableScope,
    Rival,
    StepOutcome,
)

__all__ = (
    "Cause",
    "Difference",
    "Explanation",
    "Input",
    "Inputs",
    "NearMiss",
    "Question",
    "ReadableScope",
    "Rival",
    "StepOutcome",
)
