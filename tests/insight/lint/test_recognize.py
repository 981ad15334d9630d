"""Which steps are cache steps, and what is known of each."""

import pytest

from tests.insight.lint.workflows import cache_steps, job, only_step


@pytest.mark.parametrize(
    ("uses", "restores", "saves", "packs_whole_folders"),
    [
        ("actions/cache@v4", True, True, True),
        ("Actions/Cache@v4", True, True, True),
        ("actions/cache/restore@v4", True, False, True),
        ("actions/cache/save@0123abc", False, True, True),
        ("octo/runcache@v1", True, True, False),
        ("octo/runcache/restore@v1", True, False, False),
    ],
)
def test_actions_with_a_key_are_cache_steps(
    uses: str, *, restores: bool, saves: bool, packs_whole_folders: bool
) -> None:
    step = only_step(
        f"""
        - uses: {uses}
          with:
            Path: |
              a
              !b
            KEY: k
            restore-keys: |
              k-
              l-
        """
    )

    assert (step.restores, step.saves) == (restores, saves)
    assert step.packs_whole_folders is packs_whole_folders
    assert step.name.value == uses
    assert step.key is not None
    assert step.key.value == "k"
    assert [path.value for path in step.paths] == ["a", "!b"]
    assert [key.value for key in step.restore_keys or ()] == ["k-", "l-"]
    assert step.included == ("a",)


@pytest.mark.parametrize(
    "step",
    [
        "uses: actions/checkout@v4",
        "uses: actions/cache/other@v4",
        "uses: ./.github/actions/cache",
        "uses: docker://alpine",
        "run: make",
        "uses: actions/setup-node@v4",
        "{uses: actions/setup-node@v4, with: {cache: ''}}",
        "{uses: actions/setup-go@v5, with: {cache: false}}",
        "{uses: ruby/setup-ruby@v1, with: {bundler-cache: 'false'}}",
    ],
)
def test_other_steps_are_none(step: str) -> None:
    assert cache_steps(job(f"- {step}\n")) == []


@pytest.mark.parametrize(
    "step",
    [
        "{uses: actions/setup-node@v4, with: {cache: npm}}",
        "{uses: actions/setup-python@v5, with: {cache: pip}}",
        "{uses: actions/setup-java@v4, with: {cache: gradle}}",
        "uses: actions/setup-go@v5",
        "{uses: actions/setup-dotnet@v4, with: {cache: true}}",
        "{uses: ruby/setup-ruby@v1, with: {bundler-cache: true}}",
        "{uses: astral-sh/setup-uv@v6, with: {enable-cache: true}}",
        "{uses: actions/setup-node@v4, with: {cache: '${{ inputs.cache }}'}}",
    ],
)
def test_actions_that_cache_by_themselves_are_cache_steps_without_a_key(step: str) -> None:
    found = only_step(f"- {step}\n")

    assert found.setup is not None
    assert (found.restores, found.saves, found.key, found.paths) == (True, True, None, ())


def test_inputs_say_how_exact_a_restore_has_to_be() -> None:
    step = "- {{uses: actions/cache@v4, with: {{path: a, key: b, {}: {}}}}}\n"

    assert only_step(step.format("fail-on-cache-miss", "true")).wants_exact_key
    assert only_step(step.format("lookup-only", "true")).wants_exact_key
    assert not only_step(step.format("lookup-only", "false")).wants_exact_key
    assert only_step(step.format("enableCrossOsArchive", "true")).is_cross_os


def test_our_own_archives_are_packed_as_the_action_packs_them() -> None:
    action = "- {uses: octo/runcache@v1, with: {path: a, key: b, format: archive}}\n"
    command = "- run: runcache save --key b --path a --format archive\n"

    assert only_step(action).packs_whole_folders
    assert only_step(command).packs_whole_folders


def test_commands_are_cache_steps_of_their_step() -> None:
    found = cache_steps(
        job(
            """
            - run: |
                runcache restore --key a --restore-key b --path c --fail-on-cache-miss
                runcache run --preset npm -- npm ci
                runcache save --key "$KEY" --path c --cross-os
            """
        )
    )

    restore, run, save = found
    assert [step.name.value for step in found] == [
        "runcache restore",
        "runcache run",
        "runcache save",
    ]
    assert (restore.restores, restore.saves, restore.wants_exact_key) == (True, False, True)
    assert (run.restores, run.saves, run.key, run.paths) == (True, True, None, ())
    assert (save.restores, save.saves, save.key, save.is_cross_os) == (False, True, None, True)


def test_of_a_list_without_end_the_beginning_is_read() -> None:
    lines = "".join(f"              p{number}\n" for number in range(500))

    step = only_step(f"- uses: actions/cache@v4\n  with:\n    key: k\n    path: |\n{lines}")

    assert len(step.paths) == 100
