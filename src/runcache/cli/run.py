"""`runcache run`: a command between a restore and a save."""

from dataclasses import dataclass
from typing import Final

import click

from runcache.cli import child, restore, save
from runcache.cli.cache import Cache, in_a_cache
from runcache.cli.console import Console, example
from runcache.cli.entry import Wanted, for_an_entry
from runcache.cli.options import talking
from runcache.client.results import Hit, Saved

_STDERR: Final = 2


@dataclass(slots=True)
class _Entry:
    """An entry before the command and after it."""

    wanted: Wanted
    hit: Hit | None
    saved: Saved | None = None

    @property
    def is_exact(self) -> bool:
        return self.hit is not None and self.hit.exact

    def as_json(self) -> dict[str, object]:
        saved = None if self.saved is None else save.as_json(self.wanted.key, self.saved)
        return {"restored": restore.as_json(self.wanted.key, self.hit), "saved": saved}


@click.command(
    "run",
    context_settings={"allow_interspersed_args": False},
    epilog=example("runcache run --preset npm -- npm ci"),
)
@talking
@for_an_entry(may_be_preset=True)
@click.option(
    "--preset",
    metavar="NAME|auto",
    help="keys and paths of a package manager such as npm, pip or cargo",
)
@click.option("--skip-on-hit", is_flag=True, help="do not run the command if the key was found")
@in_a_cache
@click.argument("command", nargs=-1, required=True)
def command(
    console: Console,
    *,
    wanted: Wanted | None,
    cache: Cache,
    preset: str | None,
    skip_on_hit: bool,
    command: tuple[str, ...],
) -> None:
    """Restore files, run COMMAND, and save the files if it succeeded and the key was not found.

    The exit code is that of COMMAND, which gets the signals that arrive meanwhile.
    """
    if (wanted is None) == (preset is None):
        raise click.UsageError("give either `--preset`, or `--key` and `--path`")
    found = [wanted.evaluated(cache.environment)] if wanted else _preset(cache, str(preset))
    entries = [_Entry(each, cache.restore(each)) for each in found]
    for entry in entries[:1]:
        cache.tell_step(entry.wanted.key, entry.hit)
    is_skipped = skip_on_hit and bool(entries) and all(entry.is_exact for entry in entries)
    if is_skipped:
        console.talk(f"skipped `{command[0]}`: the key was found")
        ended = child.Ended(0)
    else:
        # With --json there is one object on stdout, and nothing else.
        ended = child.run(command, stdout=_STDERR if console.as_json else None)
    if ended.complaint is not None:
        console.fail(ended.complaint)
    for entry in entries:
        if ended.is_success and not entry.is_exact:
            entry.saved = cache.save(entry.wanted)
    caches = [entry.as_json() for entry in entries]
    console.show("", {"status": ended.status, "skipped": is_skipped, "caches": caches})
    click.get_current_context().exit(ended.status)


def _preset(cache: Cache, name: str) -> list[Wanted]:
    """Return the entries of a preset: several of some, and none where it cannot be resolved."""
    from runcache.presets import read_machine, resolve  # noqa: PLC0415  -- only presets need it

    with cache.tolerated():
        machine = read_machine(cache.environment.variables)
        recipes = resolve(name, project=cache.environment.folder, machine=machine)
        return [Wanted(each.key, each.restore_keys, each.paths) for each in recipes]
    return []
