"""`runcache eval`: what is the value of an expression?"""

import math
from typing import Final

import click

import runcache
from runcache.cli.console import Console, example
from runcache.cli.options import CONTEXT, talking
from runcache.expressions.values import Value, kind_of

MAX_EXACT_INTEGER: Final = 2**53


@click.command("eval", epilog=example("runcache eval \"hashFiles('**/package-lock.json')\""))
@talking
@click.argument("expression", metavar="EXPRESSION")
@click.option(
    "--context",
    "contexts",
    metavar="NAME=FILE",
    type=CONTEXT,
    multiple=True,
    help="a context such as `runner`, from a file with JSON; may be repeated",
)
def command(console: Console, *, expression: str, contexts: list[tuple[str, Value]]) -> None:
    """Print the value of an EXPRESSION, which is written without its ${{ and }}.

    A string is printed as it is, any other value as `toJSON` writes it. `hashFiles` looks for files
    below the current folder.
    """
    value = runcache.evaluate(expression, dict(contexts))
    try:
        if console.as_json:
            console.show("", {"kind": kind_of(value), "value": _as_json(value)})
        else:
            console.show(_printable(value if isinstance(value, str) else _json_of(value)), None)
    except (RecursionError, runcache.ExpressionError) as exc:
        raise click.UsageError("the value is too large, or nested too deep, to be printed") from exc


def _as_json(value: Value) -> Value:
    """Return a value as JSON can have it: 1 instead of 1.0, and NaN and Infinity as strings."""
    match value:
        case str():
            return _printable(value)
        case float() if not math.isfinite(value):
            return _json_of(value)
        case float() if value.is_integer() and abs(value) <= MAX_EXACT_INTEGER:
            return int(value)
        case list():
            return [_as_json(item) for item in value]
        case dict():
            return {_printable(key): _as_json(item) for key, item in value.items()}
    return value


def _json_of(value: Value) -> str:
    return str(runcache.evaluate("toJSON(value)", {"value": value}))


def _printable(text: str) -> str:
    """Replace halves of surrogate pairs, which no output can have."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
