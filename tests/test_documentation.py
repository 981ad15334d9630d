"""What the documentation says is so: examples run, tables are the code's, links lead somewhere.

A block of commands that follows the line `<!-- run -->` is run in a folder like a checkout, beside
a server with its data in `.runcache`. Blocks of a page that follow `<!-- run: NAME -->` with the
same name are one story: the same folder, server and shell. In them `127.0.0.1:8480` stands for the
server's address. A command may fail only if it prints an error, or if the next one asks for `$?`.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runcache import errors
from runcache.access import scopes_for
from runcache.cli import console
from runcache.config import load
from runcache.errors import CacheError
from runcache.insight.explain import Cause
from runcache.model import Entry, EntryBlob, Grant, Hit, Key, MatchKind, Permission
from runcache.retention import Reason
from runcache.server import failures
from runcache.server.metrics import Metrics
from runcache.server.transfers import RECEIVED, SENT
from runcache.service import Lookup
from runcache.settings import PLANNED, SETTINGS, variable_of
from runcache.testing import LiveServer
from runcache.wire import twirp as wire
from runcache.wire.native import FIND_PATH
from tests.conformance.programs import found
from tests.documentation import (
    DOCS,
    MARK,
    PAGES,
    ROOT,
    RUN_BLOCK,
    Story,
    anchors_of,
    code,
    example_of,
    headings_of,
    links_of,
    only_code,
    read,
    stories,
    table,
)
from tests.genuine import find_node

DOCUMENTED_ADDRESS = "127.0.0.1:8480"
OF_A_JOB = ("ACTIONS_", "GITHUB_", "RUNCACHE_", "RUNNER_", "NODE_")
END = "end-of-the-output-of-a-command"
CITED = re.compile(r"(protocol|management) ((?:§[0-9.]*[0-9])(?:, §[0-9.]*[0-9])*|A\.[0-9a-z]+)")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment in which nothing says that a job runs or where a cache is."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_A_JOB)}
    folders = (f"{sys.prefix}/bin", str(find_node().parent), os.environ["PATH"])
    path = os.pathsep.join(folders)
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8", "PATH": path, **more}


def like_a_checkout(folder: Path) -> Path:
    """Make a folder that has all the files of the project, and may be written to."""
    folder.mkdir()
    for entry in ROOT.iterdir():
        # In a worktree `.git` is a file, too, which would tell of its branch.
        if entry.is_file() and entry.name not in {"runcache.toml", ".git"}:
            shutil.copy(entry, folder)
    for name in ("examples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "action", folder / "action")  # act does not follow links
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


def outputs(story: Story, folder: Path, server: LiveServer) -> list[tuple[str, int]]:
    """Run a story, and return what each of its commands printed, and its status."""
    address = urlsplit(server.url).netloc
    ending = f'end() {{ local status=$?; printf "\\n{END} %s\\n" $status; return $status; }}'
    script = "\n".join(
        ["exec 2>&1", ending, *(f"{command.text}\nend" for command in story.commands)]
    ).replace(DOCUMENTED_ADDRESS, address)
    run = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", script],
        cwd=folder,
        env=environment(folder.parent, RUNCACHE_PORT=str(urlsplit(server.url).port)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    parts = re.split(rf"\n{END} (\d+)\n", run.stdout.replace(address, DOCUMENTED_ADDRESS))
    return [
        (output.rstrip("\n"), int(status))
        for output, status in zip(parts[:-1:2], parts[1::2], strict=True)
    ]


@pytest.mark.timeout(300)  # the tour moves 8 000 files five times
@pytest.mark.parametrize("story", list(stories()), ids=str)
def test_an_example_prints_what_the_documentation_says(story: Story, tmp_path: Path) -> None:
    for program in story.programs():
        found(program)
    folder = like_a_checkout(tmp_path / "checkout")

    with LiveServer(folder / ".runcache") as server:
        done = outputs(story, folder, server)

    assert len(done) == len(story.commands)
    following = [*(command.text for command in story.commands[1:]), ""]
    for command, (output, status), after in zip(story.commands, done, following, strict=True):
        said = f"$ {command.text}\n{output}"
        assert command.prints(output), said
        assert not status or output.startswith("error: ") or after == "echo $?", said


def test_every_cause_of_a_miss_is_documented() -> None:
    assert [only_code(row["cause"]) for row in table("explain.md", "cause")] == [
        cause.value for cause in Cause
    ]


def test_every_mark_belongs_to_a_block_of_commands() -> None:
    for page in PAGES:
        text = page.read_text()
        assert len(MARK.findall(text)) == len(RUN_BLOCK.findall(text)), page.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links_of(page):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors_of(path), target


def test_the_readme_lists_every_page() -> None:
    linked = links_of(ROOT / "README.md")

    assert {str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md")} <= set(linked)


def test_the_table_of_settings_has_every_setting_with_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    documented = [
        (*code(row["name"]), *code(row["default"])) for row in table("settings.md", "name", "value")
    ]

    actual = []
    for setting in SETTINGS:
        default = setting.default
        text = default if isinstance(default, str) else default(Path("/DATA"))
        shown = setting.kind.show(setting.kind.parse(text))
        actual.append((setting.name, shown.replace("/DATA", "DATA").replace("/home/user", "~")))
    assert documented == actual


def test_settings_that_cannot_be_set_yet_are_named() -> None:
    text = read("settings.md")

    for name in PLANNED:
        assert f"`{name}`" in text


def test_the_example_of_a_settings_file_is_read(tmp_path: Path) -> None:
    text = example_of("settings.md", "toml")
    file = tmp_path / "runcache.toml"
    file.write_text(text)

    loaded = load({}, file=file, environ={}, folder=tmp_path)

    from_file = {source.name for source in loaded.sources if source.origin == str(file)}
    assert from_file == set(tomllib.loads(text))


def test_variables_of_the_client_are_known_to_the_server(tmp_path: Path) -> None:
    page = read("settings.md")
    section = page.partition("## Variables of the client\n")[2]
    variables = re.findall(r"`(RUNCACHE_\w+)`", section)

    assert variable_of("url") in variables
    load({}, environ=dict.fromkeys(variables, "x"), folder=tmp_path)


def test_the_table_of_metrics_has_every_metric_with_its_labels() -> None:
    entry = Entry(1, "octo/hello", "refs/heads/main", "k", "v", 1, 0, 0)
    metrics = Metrics()
    lookup = Lookup(Grant("octo/hello", (), job="job"), (Key("k"),), ("v",))
    metrics.missed(lookup)
    metrics.saved(entry)
    metrics.damaged("blob")
    metrics.damage_reported(entry, "digest")
    metrics.answered("/healthz", 200, 0.1)
    for kind in MatchKind:
        metrics.found(lookup, Hit(entry, (EntryBlob("blob", 1),), kind))
    for reason in Reason:
        metrics.evicted(reason, 1)
    for direction in (SENT, RECEIVED):
        metrics.transferred(direction, 1)
        metrics.in_flight(direction)

    families = {
        family.name: family
        for family in text_string_to_metric_families(metrics.exposition().decode())
        if family.name.startswith("runcache_") and not family.name.endswith("_created")
    }
    documented = {row["metric"]: row for row in table("operating.md", "metric", "kind")}

    assert {name.removesuffix("_total") for name in map(only_code, documented)} == set(families)
    for name, row in documented.items():
        family = families[only_code(name).removesuffix("_total")]
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert family.type == row["kind"], name
        assert labels == set(code(row["labels"])), name
        for label in labels - {"route", "status"}:
            values = {sample.labels[label] for sample in family.samples}
            assert values == set(code(row["counts"])) or label == "direction", name


def test_the_table_of_reasons_has_every_reason_to_forget_an_entry() -> None:
    reasons = {
        reason
        for row in table("keeping.md", "setting", "default")
        for reason in code(row["reason in reports and metrics"])
    }

    assert reasons == {reason.value for reason in Reason}


def test_the_table_of_events_has_every_event_with_its_fields() -> None:
    documented = {
        only_code(row["event"]): set(code(row["fields"]))
        for row in table("operating.md", "event", "level")
    }

    assert documented == dict(logged_events())


def logged_events() -> Iterator[tuple[str, set[str]]]:
    """Find the events that the server logs, with the names of their fields."""
    for file in (ROOT / "src/runcache/server").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("_log"), attr=level)
                    | ast.Name("log" as level),
                    args=[ast.Constant(str(event))],
                    keywords=keywords,
                ):
                    extra = {"exception"} if level == "exception" else set()
                    yield event, {str(keyword.arg) for keyword in keywords} | extra


def kinds_of_error(kind: type[CacheError] = CacheError) -> Iterator[type[CacheError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from kinds_of_error(child)


def test_the_table_of_errors_has_every_error_with_its_answers() -> None:
    documented = [
        (
            only_code(row["error"]),
            *(row[name] for name in ("v2", "v1", "links", "REST", "native", "exit")),
        )
        for row in table("errors.md", "error", "when")
    ]

    tables = (
        failures.TWIRP,
        failures.ARTIFACTCACHE,
        failures.AZURE_BLOB,
        failures.GITHUB_REST,
        failures.NATIVE,
    )
    actual = []
    for kind in kinds_of_error():
        error = kind.__new__(kind)  # its class alone decides
        answers = (answer(failures.failure_of(rows, error)) for rows in tables)
        actual.append((kind.__name__, *answers, str(console.exit_code_of(error))))
    assert documented == actual


def answer(failure: failures.Failure) -> str:
    said = "ok: false" if failure.status == 200 else failure.code
    return f"{failure.status} `{said}`" if said else f"{failure.status}"


def test_the_table_of_exit_codes_has_every_exit_code() -> None:
    codes = {int(row["exit code"]) for row in table("operating.md", "exit code")}

    assert codes == {
        console.DONE,
        console.FAILED,
        console.WRONG_USAGE,
        console.MISSED,
        console.DAMAGE_FOUND,
        console.NOT_PERMITTED,
        console.UNREACHABLE,
        console.INTERRUPTED,
    }


@pytest.mark.parametrize(
    "row", table("tokens.md", "what runs"), ids=lambda row: row["what runs"].replace(" ", "-")
)
def test_the_table_of_scopes_says_what_the_rules_give(row: dict[str, str]) -> None:
    scopes = scopes_for(
        ref=only_code(row["`--ref`"]),
        base_ref=next(iter(code(row["`--base-ref`"])), None),
        event=only_code(row["`--event`"]),
    )

    readable = [s.scope for s in scopes if s.permission & Permission.READ]
    writable = [s.scope for s in scopes if s.permission & Permission.WRITE]
    assert readable == code(row["restores from, in this order"])
    assert writable == code(row["saves to"])


def citations() -> Iterator[tuple[str, str]]:
    """Find what the code cites: a page and a section of it."""
    for folder in ("src", "tests", "benchmarks", "examples"):
        for file in (ROOT / folder).rglob("*.py"):
            if "node_modules" not in file.parts:
                for page, sections in CITED.findall(file.read_text()):
                    for section in sections.split(", "):
                        yield page, section.removeprefix("§")


def test_every_section_that_the_code_cites_exists() -> None:
    sections = {
        (page, title.split()[0].rstrip("."))
        for page in ("protocol", "management")
        for title in headings_of(DOCS / f"{page}.md")
    }
    recordings = {("protocol", row["name"]) for row in table("protocol.md", "name", "what")}

    assert set(citations()) <= sections | recordings


def test_the_bodies_of_errors_look_as_documented(tmp_path: Path) -> None:
    requests = {
        "v2": ("POST", wire.SERVICE_PATH + wire.Method.FIND),
        "v1": ("POST", "/_apis/artifactcache/caches"),
        "links": ("PUT", "/devstoreaccount1/actions-cache/unsigned"),
        "REST": ("GET", "/nothing"),
        "native": ("POST", FIND_PATH),
    }

    with LiveServer(tmp_path / "data") as server:
        for row in table("errors.md", "dialect", "form", "to"):
            method, path = requests[row["dialect"]]
            connection = HTTPConnection(urlsplit(server.url).netloc)
            with closing(connection):
                connection.request(method, path, body=b"{}" if method == "POST" else None)
                body = connection.getresponse().read().decode()

            assert body == only_code(row["form"]), row["dialect"]


def test_an_action_is_redirected_though_the_runner_has_set_its_variables(tmp_path: Path) -> None:
    found("tar")
    (tmp_path / "dependency").write_text("x")
    with LiveServer(tmp_path / "data") as server:
        env = environment(
            tmp_path,
            ACTIONS_RESULTS_URL="http://127.0.0.1:9/",
            ACTIONS_CACHE_URL="http://127.0.0.1:9/",
            ACTIONS_RUNTIME_TOKEN="the.runners.own",
            NODE_OPTIONS=f"--require={ROOT}/examples/redirect.cjs",
            RUNCACHE_URL=server.url,
            RUNCACHE_TOKEN=server.job_token(),
        )

        for verb in ("save", "restore"):
            command = [ROOT / "examples/client", verb, "npm-1", "dependency"]
            done = subprocess.run(
                command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
            )

    assert 'RESULT {"result":"npm-1","error":null}' in done.stdout
