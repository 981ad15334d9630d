"""`runcache stats`: what the lookups of the last days found, and what became of entries."""

from collections.abc import Sequence
from dataclasses import dataclass

import click

from runcache.access import repository_name
from runcache.catalog.catalog import Catalog
from runcache.cli.console import Console, counted, example
from runcache.cli.opened import in_catalog
from runcache.cli.options import talking
from runcache.cli.settings import PLACE, with_settings
from runcache.cli.tables import Row, Size, is_terminal, show_lines, show_table
from runcache.config import Loaded
from runcache.quantities import print_about
from runcache.records import Day, FamilyRate, HitRate
from runcache.service import Records, now_ms
from runcache.service.records import KEPT_FOR


@dataclass(frozen=True, slots=True)
class _Repository:
    name: str
    growth_bytes: int
    families: Sequence[FamilyRate]


@dataclass(frozen=True, slots=True)
class _Stats:
    rate: HitRate
    days: Sequence[Day]
    repositories: Sequence[_Repository]


@click.command("stats", epilog=example("runcache stats --data .runcache --days 30"))
@talking
@with_settings(*PLACE)
@click.option("-R", "--repo", metavar="OWNER/REPO", help="of this repository alone")
@click.option(
    "--days",
    metavar="N",
    type=click.IntRange(1, KEPT_FOR.days),
    default=7,
    show_default=True,
    help="of so many days (UTC), today included",
)
def command(console: Console, *, loaded: Loaded, repo: str | None, days: int) -> None:
    """Show hits and misses by key family, and what was saved and evicted, day by day.

    Keys are of one family that differ in hashes, versions and dates only. Off a terminal there is a
    line for each day, and then one for each family, with their columns apart by tabs.
    """
    wanted = None if repo is None else [repository_name(repo)]
    stats = in_catalog(loaded.settings, lambda catalog: _asked(catalog, wanted, days))
    if console.as_json:
        console.show("", _as_json(stats))
        return
    console.talk(_summary(stats, days))
    of_days = [_day_row(day) for day in stats.days]
    of_families = [_family_row(of, rate) for of in stats.repositories for rate in of.families]
    if not is_terminal():
        show_lines([*of_days, *of_families])
        return
    show_table(("day", "hits", "misses", "restores", "saved", "evicted", "deleted"), of_days)
    if of_families:
        click.echo()
        show_table(("repository", "family", "hits", "misses", "found"), of_families)


async def _asked(catalog: Catalog, wanted: list[str] | None, days: int) -> _Stats:
    records = Records(catalog, now=now_ms)
    growth = await records.growth(wanted, days=days)
    return _Stats(
        await records.hit_rates(wanted, days=days),
        await records.daily(wanted, days=days),
        [
            _Repository(name, growth[name], await records.by_family(name, days=days))
            for name in sorted(growth)
        ],
    )


def _summary(stats: _Stats, days: int) -> str:
    looked_up = stats.rate.hits + stats.rate.misses
    saved_bytes = sum(day.saved_bytes for day in stats.days)
    found = f", {_percent(stats.rate)} found something" if looked_up else ""
    return (
        f"{counted(looked_up, 'lookup')} in {counted(days, 'day')}{found};"
        f" {print_about(saved_bytes)} saved"
    )


def _percent(rate: HitRate) -> str:
    return "" if rate.share is None else f"{rate.share:.0%}"


def _day_row(day: Day) -> Row:
    sizes = (day.saved_bytes, day.evicted_bytes, day.deleted_bytes)
    return (day.date.isoformat(), day.hits, day.misses, day.restored, *map(Size, sizes))


def _family_row(repository: _Repository, of: FamilyRate) -> Row:
    rate = HitRate(of.hits, of.misses)
    return (repository.name, of.family, of.hits, of.misses, _percent(rate))


def _as_json(stats: _Stats) -> dict[str, object]:
    return {
        "hits": stats.rate.hits,
        "misses": stats.rate.misses,
        "days": [
            {
                "date": day.date.isoformat(),
                "hits": day.hits,
                "misses": day.misses,
                "restored": day.restored,
                "saved_bytes": day.saved_bytes,
                "evicted_bytes": day.evicted_bytes,
                "deleted_bytes": day.deleted_bytes,
            }
            for day in stats.days
        ],
        "repositories": [
            {
                "repository": of.name,
                "growth_bytes": of.growth_bytes,
                "families": [
                    {"family": rate.family, "hits": rate.hits, "misses": rate.misses}
                    for rate in of.families
                ],
            }
            for of in stats.repositories
        ],
    }
