"""Why did it miss? A row a situation, each through the real service with a real catalog."""

from pathlib import Path

import pytest

from runcache.insight.explain import Cause
from runcache.insight.explain.explanations import Explanations
from runcache.retention import Limits
from tests.in_process import REPOSITORY, open_cache
from tests.insight.explain.situations import SITUATIONS, Situation


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
async def test_the_nearest_miss_has_the_right_cause(situation: Situation, tmp_path: Path) -> None:
    limits = Limits(min_free_bytes=0, repo_limit_bytes=6)
    async with open_cache(tmp_path, limits=limits) as cache:
        await situation.happened(cache)

        explanations = Explanations(cache.service, cache.catalog, now=cache.clock)
        explanation = await explanations.explain(REPOSITORY, situation.question)

    nearest = explanation.nearest[0]
    assert explanation.answer is None
    assert (nearest.cause, nearest.also) == (situation.cause, situation.also)
    assert nearest.sentence == situation.sentence
    assert situation.advice in {None, nearest.advice}


def test_every_cause_that_comes_first_has_a_situation() -> None:
    told_of_the_rest = {Cause.OTHER_HASH, Cause.SIMILAR_KEY}

    assert {situation.cause for situation in SITUATIONS} == set(Cause) - told_of_the_rest
