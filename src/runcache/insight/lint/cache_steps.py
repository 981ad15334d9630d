"""The steps that restore or save caches: one kind of value, whatever action or command does it."""

from dataclasses import dataclass, field
from functools import cached_property

from runcache.insight.lint.actions import Action
from runcache.insight.lint.ecosystems import Content, content_of
from runcache.insight.lint.scopes import Scope
from runcache.insight.lint.setup_actions import SetupAction
from runcache.insight.lint.source import Place
from runcache.insight.lint.templates import Text
from runcache.insight.lint.values import Pieces, pieces_of, references_of
from runcache.insight.lint.workflow import Job, Step, Workflow


@dataclass(frozen=True, slots=True)
class Circumstances:
    """A step in its job, and what its texts are evaluated in: a scope for each job of a matrix."""

    workflow: Workflow
    job: Job
    index: int
    step: Step
    scopes: tuple[Scope, ...]

    @property
    def steps_before(self) -> tuple[Step, ...]:
        """The steps of the job that run before it."""
        return self.job.steps[: self.index]


@dataclass(frozen=True, kw_only=True, eq=False)
class CacheStep:
    """A step, or a command in one, that restores a cache, saves one, or both.

    `name` is what does it, such as `actions/cache@v4` or `runcache save`. `restore_keys` is `None`
    where they are not known. `paths` is empty where they are not known, and for an action that
    finds them itself. `packs_whole_folders`: exclusions below a listed folder have no effect.
    """

    at: Circumstances
    name: Text
    action: Action | None = None
    setup: SetupAction | None = None
    restores: bool
    saves: bool
    key: Text | None = None
    restore_keys: tuple[Text, ...] | None = None
    paths: tuple[Text, ...] = ()
    is_cross_os: bool = False
    wants_exact_key: bool = False
    packs_whole_folders: bool = True

    _evaluated: dict[Text, tuple[Pieces, ...]] = field(default_factory=dict, repr=False)

    def becomes(self, text: Text) -> tuple[Pieces, ...]:
        """Return what a text of the step becomes in each scope."""
        if text not in self._evaluated:
            self._evaluated[text] = tuple(pieces_of(text, scope) for scope in self.at.scopes)
        return self._evaluated[text]

    @cached_property
    def keys(self) -> tuple[Pieces, ...]:
        """What the key becomes in each scope; nothing if it is not known."""
        return self.becomes(self.key) if self.key else ()

    @cached_property
    def references(self) -> frozenset[str]:
        """The names that the key depends on (`references_of`)."""
        found = [references_of(self.key, scope) for scope in self.at.scopes] if self.key else []
        return frozenset().union(*found)

    @cached_property
    def included(self) -> tuple[str, ...]:
        """The paths that are no exclusions."""
        return tuple(path.value for path in self.paths if not path.value.startswith("!"))

    @cached_property
    def contents(self) -> tuple[Content, ...]:
        """What its paths hold, as far as that is known."""
        return tuple(content for content in map(content_of, self.included) if content is not None)


def seen_from(step: CacheStep, other: CacheStep, place: Place) -> str:
    """Return where a place of `other` is: its line, and its file if that is not the step's."""
    source = other.at.workflow.source
    line = f"line {source.position(place.start).line}"
    return line if source is step.at.workflow.source else f"`{source.name}`, {line},"
