"""Caches that are saved by runs that strangers can cause."""

import re
from collections.abc import Iterator
from typing import Final

from runcache.access import UNTRUSTED_EVENTS
from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.findings import Fault
from runcache.insight.lint.project import Project
from runcache.insight.lint.wording import quoted

# What a condition asks for that lets only some runs save: who, from where, or which event.
_ASKS_FOR_TRUST: Final = re.compile(
    r"event_name|actor|association|fork|repository|permission|ref|branch|inputs|vars|needs|false",
    re.IGNORECASE,
)
_MODES_THAT_SAVE: Final = ("write", "write-only")


def untrusted_trigger(step: CacheStep, _: Project) -> Iterator[Fault]:
    """Find steps that save a cache when an event starts them that anybody can cause."""
    workflow, job = step.at.workflow, step.at.job
    events = sorted(workflow.triggers & UNTRUSTED_EVENTS)
    mode = job.cache_mode or workflow.cache_mode
    conditions = f"{job.condition} {step.at.step.condition}"
    if not step.saves or not events or (mode and mode not in _MODES_THAT_SAVE):
        return
    if not _ASKS_FOR_TRUST.search(conditions):
        message = f"the step saves a cache in runs that {quoted(events, 'or')} starts"
        yield Fault(step.name.place(), message)
