"""The table of all rules."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from runcache.insight.lint.cache_steps import CacheStep
from runcache.insight.lint.findings import Fault, Severity
from runcache.insight.lint.project import Project
from runcache.insight.lint.rules import (
    deprecations,
    hashes,
    keys,
    limits,
    lock_files,
    pairs,
    paths,
    restore_keys,
    triggers,
)

Look = Callable[[CacheStep, Project], Iterator[Fault]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what it is called, what it finds, why that is wrong, and what to do about it.

    `look` finds faults of one step. It is `None` for the rules about files and comments, which are
    not of a step.
    """

    id: str
    severity: Severity
    title: str
    why: str
    fix: str
    look: Look | None


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

BROKEN_FILE: Final = Rule(
    "broken-file",
    _ERROR,
    "the file cannot be read",
    "GitHub does not start such a workflow, and nothing else in it was looked at",
    "correct what the message names",
    None,
)
UNKNOWN_RULE: Final = Rule(
    "unknown-rule",
    _WARNING,
    "a comment ignores a rule that does not exist",
    "it silences nothing",
    "correct the name, or remove it",
    None,
)
RULES: Final[Mapping[str, Rule]] = {
    rule.id: rule
    for rule in (
        BROKEN_FILE,
        UNKNOWN_RULE,
        Rule(
            "broken-expression",
            _ERROR,
            "an expression cannot be read",
            "GitHub refuses the step",
            "correct what the message names",
            limits.broken_expression,
        ),
        Rule(
            "key-too-long",
            _ERROR,
            "a key has more than 512 characters",
            "cache services refuse it: the step fails",
            "leave out what does not tell entries apart, or hash it",
            limits.key_too_long,
        ),
        Rule(
            "key-with-comma",
            _ERROR,
            "a key holds a comma",
            "clients put commas between keys, and refuse a key that holds one: the step fails",
            "put a dash in its place; restore keys are a line each",
            limits.key_with_comma,
        ),
        Rule(
            "too-many-keys",
            _ERROR,
            "there are more than ten keys",
            "clients refuse to look for more: the step fails",
            "keep the restore keys that find something",
            limits.too_many_keys,
        ),
        Rule(
            "key-without-os",
            _WARNING,
            "the key does not depend on the operating system",
            "what was saved on one system is restored on another, where it does not work",
            "begin the key with `${{ runner.os }}-`",
            keys.key_without_os,
        ),
        Rule(
            "key-without-hash",
            _WARNING,
            "the key does not depend on the dependencies",
            "entries never change: what was saved first is restored for as long as it is used",
            "add the hash of the lock file",
            keys.key_without_hash,
        ),
        Rule(
            "key-without-version",
            _WARNING,
            "installed packages, and no version of the interpreter in the key",
            "they work with the version that they were installed for, and with no other",
            "add the version to the key",
            keys.key_without_version,
        ),
        Rule(
            "hash-of-nothing",
            _ERROR,
            "a hash matches no file",
            "it is then an empty text, so that the key stays the same whatever changes",
            "correct the pattern: it begins at the root of the repository, and `**/` is any folder",
            hashes.hash_of_nothing,
        ),
        Rule(
            "hash-before-checkout",
            _ERROR,
            "files are hashed before the repository is checked out",
            "the workspace is still empty, and so is the hash",
            "move `actions/checkout` before this step",
            hashes.hash_before_checkout,
        ),
        Rule(
            "missing-lock-file",
            _ERROR,
            "an action caches by a file that is not there",
            "the action fails, or saves under a key that never changes",
            "commit the lock file; if it has another name or place, name it as an input",
            lock_files.missing_lock_file,
        ),
        Rule(
            "unlocked-hash",
            _WARNING,
            "the hash is not of what pins the dependencies",
            "other releases are installed while the key stays the same",
            "commit a lock file, and hash that",
            lock_files.unlocked_hash,
        ),
        Rule(
            "unpinned-dependencies",
            _WARNING,
            "requirements are hashed that name no releases",
            "a new release is installed in each run, and never saved, since the key stays the same",
            "pin each requirement, such as `requests==2.32.3`, or hash a lock file",
            lock_files.unpinned_dependencies,
        ),
        Rule(
            "no-restore-keys",
            _WARNING,
            "there are no restore keys",
            "most of what an older entry holds would still be of use",
            "add the beginning of the key, up to its hash, as a restore key",
            restore_keys.no_restore_keys,
        ),
        Rule(
            "restore-key-not-prefix",
            _WARNING,
            "no entry begins with the restore key",
            "a restore key finds entries that begin with it, and none is saved under such a key",
            "take the beginning of the key, letter by letter",
            restore_keys.restore_key_not_prefix,
        ),
        Rule(
            "restore-key-order",
            _WARNING,
            "a restore key comes after a less specific one",
            "restore keys are tried in order, and the first that finds anything decides",
            "put the most specific restore key first",
            restore_keys.restore_key_order,
        ),
        Rule(
            "restore-key-too-short",
            _WARNING,
            "the restore key matches what other tools save",
            "the newest entry that begins with it may be of another tool",
            "name the tool in key and restore key, such as `${{ runner.os }}-npm-`",
            restore_keys.restore_key_too_short,
        ),
        Rule(
            "path-mismatch",
            _ERROR,
            "a key is restored with other paths than it is saved with",
            "the paths are part of an entry's version, letter by letter: this never hits",
            "write the same paths in the same order in both steps",
            pairs.path_mismatch,
        ),
        Rule(
            "idle-exclusion",
            _WARNING,
            "an exclusion has no effect",
            "an exclusion takes paths off the list for tar, which packs listed folders whole",
            "remove it, or list what to keep",
            paths.idle_exclusion,
        ),
        Rule(
            "sensitive-path",
            _ERROR,
            "files with secrets are cached",
            "whoever can open a pull request can read the caches of its base branch",
            "leave the file out of the paths, and make it anew in each job",
            paths.sensitive_path,
        ),
        Rule(
            "untrusted-trigger",
            _WARNING,
            "a cache is saved in runs that anybody can cause",
            "trusted runs would restore what a stranger put there; GitHub lets such runs only read",
            "only restore there: `actions/cache/restore`",
            triggers.untrusted_trigger,
        ),
        Rule(
            "deprecated-release",
            _ERROR,
            "the release of the action stopped working",
            "it uses version 1 of the cache service, which GitHub switched off in 2025",
            "use `v4` or newer",
            deprecations.deprecated_release,
        ),
        Rule(
            "deprecated-input",
            _WARNING,
            "an input has no effect",
            "the action does not read it any more",
            "remove it",
            deprecations.deprecated_input,
        ),
    )
}
