"""Tokens → tree.

Operators wait on a stack until one follows that binds less, and brackets on another, so that
nothing recurses: the runner takes 10 000 brackets around a value, which count for nothing.
"""

from collections.abc import Collection
from typing import Final

from runcache.errors import ExpressionError
from runcache.expressions import building
from runcache.expressions.building import Measured
from runcache.expressions.casing import fold
from runcache.expressions.lexer import Lexer, Token, TokenKind, shortened
from runcache.expressions.nodes import ContextName, Literal, Node
from runcache.expressions.signatures import FUNCTIONS, Signatures

MAX_DEPTH: Final = 50

_BINDING: Final = {
    operator: strength
    for strength, operators in enumerate(
        [["||"], ["&&"], ["==", "!="], ["<", "<=", ">", ">="], ["!"]]
    )
    for operator in operators
}
_CHAINS: Final = {"&&", "||"}


def parse(
    text: str,
    *,
    names: Collection[str] | None,
    functions: Signatures = FUNCTIONS,
    begin: int = 0,
    end: int | None = None,
) -> Node:
    """Return the tree of an expression without its braces; that of an empty text is null.

    `names` are the contexts that are known, or None if any may occur. The expression is `text` from
    `begin` to `end`, and positions are offsets in all of it.

    Raises:
        ExpressionError: it is no expression, names what is unknown, or exceeds a limit.
    """
    lexer = Lexer(text, begin, len(text) if end is None else end)
    return _Parser(text, lexer, names, functions).tree()


class _Frame:
    """An open bracket, or the expression itself, and what stands in it so far."""

    def __init__(
        self,
        bracket: Token | None = None,
        *,
        function: Token | None = None,
        indexed: Measured | None = None,
    ) -> None:
        self.bracket = bracket
        self.function = function
        self.indexed = indexed
        self.arguments: list[Measured] = []
        self.operands: list[Measured] = []
        self.operators: list[Token] = []


class _Parser:
    """Reads one expression.

    Between tokens it either awaits an operand or has one, and `_can_be_indexed` says whether that
    one may be followed by `.` or `[`, as a literal may not.
    """

    def __init__(
        self, text: str, lexer: Lexer, names: Collection[str] | None, functions: Signatures
    ) -> None:
        self._text = text
        self._tokens = iter(lexer)
        self._names = None if names is None else {fold(name): name for name in names}
        self._functions = functions
        self._frames = [_Frame()]
        self._awaits_operand = True
        self._can_be_indexed = False
        self._last: Token | None = None

    def tree(self) -> Node:
        while token := self._next():
            if self._awaits_operand:
                self._begin_operand(token)
            else:
                self._continue_operand(token)
        if self._last is None:
            return Literal(None)
        if self._awaits_operand or len(self._frames) > 1:
            raise self._ends_early(self._last)
        return self._reduced(self._frames[0])[0]

    def _next(self) -> Token | None:
        token = next(self._tokens, None)
        if token is not None:
            self._last = token
        return token

    def _begin_operand(self, token: Token) -> None:
        frame = self._frames[-1]
        match token:
            case Token(TokenKind.LITERAL):
                literal = Literal(token.value, token.position)
                self._have(Measured(literal), can_be_indexed=False)
            case Token(TokenKind.NAME):
                self._have(Measured(self._context(token)))
            case Token(TokenKind.FUNCTION):
                self._check_function(token)
                self._frames.append(_Frame(self._next(), function=token))
            case Token(TokenKind.OPERATOR, "!"):
                frame.operators.append(token)
            case Token(TokenKind.PUNCTUATION, "("):
                self._frames.append(_Frame(token))
            case Token(TokenKind.PUNCTUATION, ")") if frame.function and not (
                frame.arguments or frame.operators
            ):
                self._close_bracket()
            case Token(TokenKind.PUNCTUATION, "*") if frame.indexed and not frame.operators:
                self._close_filter(frame.indexed, token)
            case _:
                raise self._unexpected(token)

    def _continue_operand(self, token: Token) -> None:
        frame = self._frames[-1]
        match token:
            case Token(TokenKind.OPERATOR, text) if text != "!":
                self._add_operator(frame, token)
            case Token(TokenKind.PUNCTUATION, ".") if self._can_be_indexed:
                self._add_property(frame, token)
            case Token(TokenKind.PUNCTUATION, "[") if self._can_be_indexed:
                self._frames.append(_Frame(token, indexed=frame.operands.pop()))
                self._awaits_operand = True
            case Token(TokenKind.PUNCTUATION, ",") if frame.function:
                frame.arguments.append(self._reduced(frame))
                self._awaits_operand = True
            case Token(TokenKind.PUNCTUATION, "]") if frame.indexed:
                self._close_bracket()
            case Token(TokenKind.PUNCTUATION, ")") if frame.bracket and not frame.indexed:
                self._close_bracket()
            case _:
                raise self._unexpected(token)

    def _have(self, operand: Measured, *, can_be_indexed: bool = True) -> None:
        if operand.depth > MAX_DEPTH:
            reason = f"the expression is nested more than {MAX_DEPTH} deep"
            raise self._error(reason, operand.node.position)
        self._frames[-1].operands.append(operand)
        self._awaits_operand = False
        self._can_be_indexed = can_be_indexed

    def _add_property(self, frame: _Frame, dot: Token) -> None:
        operand = frame.operands.pop()
        token = self._next()
        if token is None:
            raise self._ends_early(dot)
        if token.kind is TokenKind.PROPERTY:
            self._have(building.member(operand, token))
        elif token.text == "*":
            self._have(building.all_items(operand))
        else:
            raise self._unexpected(token)

    def _add_operator(self, frame: _Frame, token: Token) -> None:
        binding = _BINDING[token.text]
        while frame.operators:
            last = frame.operators[-1].text
            # `a && b && c` is one node.
            if _BINDING[last] < binding or (last == token.text and last in _CHAINS):
                break
            self._reduce(frame)
        frame.operators.append(token)
        self._awaits_operand = True

    def _reduce(self, frame: _Frame) -> None:
        """Replace the last operator and its operands by their node."""
        operator = frame.operators.pop()
        right = frame.operands.pop()
        if operator.text == "!":
            made = building.negation(operator, right)
        elif operator.text in _CHAINS:
            operands = [right, frame.operands.pop()]
            while frame.operators and frame.operators[-1].text == operator.text:
                frame.operators.pop()
                operands.append(frame.operands.pop())
            made = building.chain(operator, operands[::-1])
        else:
            made = building.comparison(operator, frame.operands.pop(), right)
        self._have(made, can_be_indexed=False)

    def _reduced(self, frame: _Frame) -> Measured:
        while frame.operators:
            self._reduce(frame)
        return frame.operands.pop()

    def _close_bracket(self) -> None:
        frame = self._frames[-1]
        if frame.operands:
            frame.arguments.append(self._reduced(frame))
        self._frames.pop()
        if frame.function is not None:
            self._check_arguments(frame.function, len(frame.arguments))
            self._have(building.call(frame.function, frame.arguments))
        elif frame.indexed is not None:
            self._have(building.index(frame.indexed, frame.arguments[0]))
        else:
            self._have(frame.arguments[0])

    def _close_filter(self, indexed: Measured, star: Token) -> None:
        bracket = self._next()
        if bracket is None:
            raise self._ends_early(star)
        if bracket.text != "]":
            raise self._unexpected(bracket)
        self._frames.pop()
        self._have(building.all_items(indexed))

    def _context(self, token: Token) -> ContextName:
        if self._names is not None and fold(token.text) not in self._names:
            known = ", ".join(f"`{name}`" for name in self._names.values())
            hint = f"known contexts: {known}" if known else None
            raise self._error(f"unknown context `{token.text}`", token.position, hint)
        return ContextName(token.text, token.position)

    def _check_function(self, token: Token) -> None:
        if token.text.lower() not in self._functions:
            raise self._error(f"unknown function `{token.text}`", token.position)

    def _check_arguments(self, function: Token, count: int) -> None:
        signature = self._functions[function.text.lower()]
        if not signature.accepts(count):
            raise self._error(f"{signature}, not {count}", function.position)

    def _unexpected(self, token: Token) -> ExpressionError:
        return self._error(f"unexpected symbol `{shortened(token.text)}`", token.position)

    def _ends_early(self, last: Token) -> ExpressionError:
        reason = f"the expression ends early, after `{shortened(last.text)}`"
        return self._error(reason, last.position)

    def _error(self, reason: str, position: int, hint: str | None = None) -> ExpressionError:
        return ExpressionError(
            reason, kind="parsing", position=position, expression=self._text, hint=hint
        )
