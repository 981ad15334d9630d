"""Clients that are killed, or interrupted, in the middle of a save or restore."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from runcache.client.results import Format
from runcache.snapshot.scan import STAGING_PREFIX
from tests.client.front import front
from tests.client.machines import Machine, Machines
from tests.client.scripted_server import Reply, Request, ScriptedServer
from tests.client.test_client import each_format
from tests.conformance.trees import described

HIDDEN: Final = os.fsdecode(STAGING_PREFIX)
END_WITHIN_SECONDS: Final = 30

CALL: Final = """
import sys
from pathlib import Path
from runcache.client.environment import Environment, Given
from runcache.library import open_client

url, token, home, folder, verb, form = sys.argv[1:]
given = Given(url=url, token=token)
environment = Environment(given, variables={"HOME": home}, folder=Path(folder))
with open_client(environment, warn=print) as client:
    if verb == "save":
        client.save(["deps"], key="deps-1", format=form)
    else:
        client.restore(["deps"], key="deps-1")
"""


def killed(
    machine: Machine, server: ScriptedServer, verb: str, form: str, number: signal.Signals
) -> int:
    """Start a call, and send it a signal once the server says nothing more; return its status."""
    token = str(machine.given.token)
    folders = (str(machine.home), str(machine.workspace))
    with subprocess.Popen(
        [sys.executable, "-c", CALL, server.url, token, *folders, verb, form],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert server.is_stalled.wait(END_WITHIN_SECONDS)
        process.send_signal(number)
        _, said = process.communicate(timeout=END_WITHIN_SECONDS)
    assert process.returncode != 0, said
    return process.returncode


def left_over(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob(f"{HIDDEN}*")]


def plant(machine: Machine) -> None:
    for number in range(40):
        machine.write(f"deps/{number % 5}/{number}", os.urandom(20_000))


def stalling_after(share: float) -> Callable[[Request, Reply], Reply]:
    """Let downloads of blobs stall after a share of their bytes, small ones excepted."""

    def instead(request: Request, reply: Reply) -> Reply:
        if request.method != "GET" or len(reply.body) < 100_000:
            return reply
        return replace(reply, stall_after=int(len(reply.body) * share))

    return instead


@each_format
@pytest.mark.parametrize("share", [0, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("is_there", [False, True], ids=["into nothing", "onto a folder"])
def test_a_killed_restore_is_repaired_by_the_next_one(
    machines: Machines, form: Format, share: float, *, is_there: bool
) -> None:
    saving, restoring = machines.make(), machines.make()
    plant(saving)
    saving.save("deps-1", format=form)
    if is_there:
        restoring.write("deps/0/0", "older")
        restoring.write("deps/mine", "stays")
        saving.write("deps/mine", "stays")

    with front(machines.server.url, instead=stalling_after(share)) as server:
        status = killed(restoring, server, "restore", form, signal.SIGKILL)
    # What nobody completed looks like nothing, not like a whole folder.
    assert status == -signal.SIGKILL
    assert is_there or not (restoring.workspace / "deps").exists()
    hit = restoring.restore("deps-1")

    assert hit is not None
    assert described(restoring.workspace) == described(saving.workspace)
    assert left_over(restoring.folder) == []


@each_format
@pytest.mark.parametrize("is_there", [False, True], ids=["into nothing", "onto a folder"])
def test_an_interrupted_restore_leaves_nothing(
    machines: Machines, form: Format, *, is_there: bool
) -> None:
    saving, restoring = machines.make(), machines.make()
    plant(saving)
    saving.save("deps-1", format=form)
    if is_there:
        restoring.write("deps/mine", "stays")
    before = described(restoring.workspace)

    with front(machines.server.url, instead=stalling_after(0.7)) as server:
        killed(restoring, server, "restore", form, signal.SIGINT)

    assert described(restoring.workspace) == before


SAVES: Final = {
    "snapshot": ("/runcache/v1/uploads", "/packs/", "/manifest", "/commit"),
    "archive": ("CreateCacheEntry", "comp=block&", "comp=blocklist", "FinalizeCacheEntryUpload"),
}


def stalling_at(place: str) -> Callable[[Request, Reply], Reply]:
    """Let the answer to one kind of request never come, though it was done."""

    def instead(request: Request, reply: Reply) -> Reply:
        is_it = request.target.endswith(place) or (
            place.endswith(("/", "&")) and place in request.target
        )
        return Reply(silent=True) if is_it else reply

    return instead


@pytest.mark.parametrize(
    ("form", "place"), [(form, place) for form, places in SAVES.items() for place in places]
)
def test_a_killed_save_is_made_good_by_the_next_one(
    machines: Machines, form: Format, place: str
) -> None:
    saving, restoring = machines.make(), machines.make()
    plant(saving)

    with front(machines.server.url, instead=stalling_at(place)) as server:
        killed(saving, server, "save", form, signal.SIGKILL)
    again = saving.save("deps-1", format=form)
    restoring.restore("deps-1")

    # The last of the requests had done its work.
    assert again.created == (place not in {"/commit", "FinalizeCacheEntryUpload"})
    assert described(restoring.workspace) == described(saving.workspace)


@pytest.mark.parametrize("place", ["/packs/", "/manifest"])
def test_an_interrupted_save_gives_the_key_back(machines: Machines, place: str) -> None:
    saving, other = machines.make(), machines.make()
    plant(saving)
    other.write("deps/file")

    with front(machines.server.url, instead=stalling_at(place)) as server:
        killed(saving, server, "save", "snapshot", signal.SIGINT)

    assert other.save("deps-1").created
