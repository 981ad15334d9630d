"""Reports of findings: for people, as JSON, and as commands of a workflow."""

from collections.abc import Iterable
from typing import Any, Final

from runcache.insight.lint.findings import Finding

# What GitHub's runner unescapes in a workflow command, in this order.
_IN_DATA: Final = (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"))
_IN_PROPERTIES: Final = (*_IN_DATA, (":", "%3A"), (",", "%2C"))


def as_text(finding: Finding) -> str:
    """Return a finding for a person: where, what, the line with carets, why, and the fix."""
    start = finding.start
    number = str(start.line)
    gutter = " " * len(number)
    line, carets = finding.excerpt.split("\n")
    kind = f"{finding.severity.value}[{finding.rule}]"
    return "\n".join(
        (
            f"{finding.path}:{number}:{start.column}: {kind}: {printable(finding.message)}",
            f"  {number} | {line}".rstrip(),
            f"  {gutter} | {carets}",
            f"  {gutter} why: {finding.why}",
            f"  {gutter} fix: {printable(finding.fix)}",
        )
    )


def as_json(finding: Finding) -> dict[str, Any]:
    """Return a finding as JSON has it. Lines and columns begin at 1, `end_column` is behind it."""
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "path": finding.path,
        "line": finding.start.line,
        "column": finding.start.column,
        "end_line": finding.end.line,
        "end_column": finding.end.column,
        "message": finding.message,
        "why": finding.why,
        "fix": finding.fix,
    }


def as_command(finding: Finding) -> str:
    """Return the workflow command by which GitHub shows a finding at its line."""
    properties = {
        "file": finding.path,
        "line": str(finding.start.line),
        "col": str(finding.start.column),
        "endLine": str(finding.end.line),
        "endColumn": str(finding.end.column),
        "title": f"runcache lint: {finding.rule}",
    }
    named = ",".join(
        f"{name}={_escaped(text, _IN_PROPERTIES)}" for name, text in properties.items()
    )
    message = f"{finding.message}\nwhy: {finding.why}\nfix: {finding.fix}"
    return f"::{finding.severity.value} {named}::{_escaped(message, _IN_DATA)}"


def printable(text: str) -> str:
    """Return `text` on one line and without what a terminal would act on."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _escaped(text: str, table: Iterable[tuple[str, str]]) -> str:
    for char, escape in table:
        text = text.replace(char, escape)
    return text
