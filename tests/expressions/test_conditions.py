import pytest

from runcache import ExpressionError
from runcache.expressions.conditions import Status, holds, parse_condition
from runcache.expressions.nodes import And, Call, ContextName, Not, Or

CONTEXTS = {"github": {"event_name": "push", "ref": "refs/heads/main"}, "env": {}}
SUCCESS = Call("success", (), 0)


def test_a_condition_has_success_before_it() -> None:
    tree = parse_condition("a || b", names=None)

    assert tree == And((SUCCESS, Or((ContextName("a", 0), ContextName("b", 5)), 0)), 0)


def test_success_joins_a_chain() -> None:
    tree = parse_condition("a && b", names=None)

    assert tree == And((SUCCESS, ContextName("a", 0), ContextName("b", 5)), 0)


@pytest.mark.parametrize("function", ["success", "Always", "CANCELLED", "failure"])
def test_a_condition_that_asks_for_the_status_is_left_alone(function: str) -> None:
    tree = parse_condition(f"!{function}()", names=None)

    assert tree == Not(Call(function, (), 1), 0)


def test_braces_may_be_left_out() -> None:
    assert parse_condition("${{ a }}", names=None) == And((SUCCESS, ContextName("a", 4)), 0)
    assert parse_condition("a", names=None) == And((SUCCESS, ContextName("a", 0)), 0)


def test_no_condition_is_success() -> None:
    assert parse_condition("", names=None) == SUCCESS
    assert parse_condition(" \n", names=None) == SUCCESS


@pytest.mark.parametrize(
    ("condition", "holding"),
    [
        ("", {"success"}),
        ("true", {"success"}),
        ("false", set()),
        ("github.event_name == 'push'", {"success"}),
        ("${{ github.event_name == 'push' }}", {"success"}),
        ("github.event_name != 'push'", set()),
        ("success()", {"success"}),
        ("failure()", {"failure"}),
        ("cancelled()", {"cancelled"}),
        ("always()", {"success", "failure", "cancelled"}),
        ("!cancelled()", {"success", "failure"}),
        ("${{ !cancelled() }} ", {"success", "failure", "cancelled"}),
        ("failure() || github.ref == 'refs/heads/main'", {"success", "failure", "cancelled"}),
        ("always() && github.ref == 'x'", set()),
        ("hashFiles('no/such/*.file') == ''", {"success"}),
        # Braces and something else are a text, which is true however they are meant.
        ("${{ false }} && true", {"success"}),
    ],
)
def test_a_condition_holds_by_the_status_of_its_job(condition: str, holding: set[str]) -> None:
    held = {status.value for status in Status if holds(condition, CONTEXTS, status)}

    assert held == holding


@pytest.mark.parametrize("condition", ["unknown", "always(1)", "github.", "${{ true", "always() 1"])
def test_a_condition_that_is_none_is_refused(condition: str) -> None:
    with pytest.raises(ExpressionError):
        parse_condition(condition, names=CONTEXTS)


def test_only_the_condition_of_a_job_names_other_jobs() -> None:
    assert parse_condition("success('build')", names=CONTEXTS)
    with pytest.raises(ExpressionError, match="may name other jobs"):
        holds("success('build')", CONTEXTS, Status.SUCCESS)
