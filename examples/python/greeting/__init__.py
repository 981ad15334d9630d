"""Greetings."""


def greeting(name: str) -> str:
    """Return a greeting for `name`.

    >>> greeting("world")
    'Hello, world!'
    """
    return f"Hello, {name}!"
