"""Every operation of GitHub's REST API that there is (management §1.2)."""

from collections.abc import Mapping
from typing import Final

from runcache.server.operations import Described, Operation, Parameter
from runcache.server.reach import (
    readable_owner,
    readable_repository,
    writable_owner,
    writable_repository,
)
from runcache.server.rest import caches, limits, login, usage
from runcache.wire import github_limits, github_rest, graphql
from runcache.wire.github_paging import DEFAULT_PER_PAGE, MAX_PER_PAGE

_REPOSITORY: Final = "/repos/{owner}/{repo}/actions/"
_ENTERPRISE: Final = "/enterprises/{enterprise}/actions/cache/"
_NUMBER: Final = {"type": "integer", "minimum": 1}

_PAGING: Final = (
    Parameter(
        "per_page",
        f"How many to a page; more than {MAX_PER_PAGE} are as many as that.",
        _NUMBER | {"default": DEFAULT_PER_PAGE},
    ),
    Parameter("page", "Which page, from 1 on.", _NUMBER | {"default": 1}),
)
_CURSOR: Final = Parameter(
    "cursor", "What the link to the next page says besides its number.", {"type": "string"}
)
_REF: Final = Parameter("ref", "A full ref, such as `refs/heads/main`.", {"type": "string"})
_DONE: Final = {204: Described("It is done.")}
_ABSENT: Final = "There is no such thing, or the token may not see it."


def _answers(body: type, *more: int, headers: tuple[str, ...] = ()) -> Mapping[int, Described]:
    return {
        200: Described("Here it is.", body, ("ETag", *headers)),
        304: Described("It is as `If-None-Match` says.", headers=("ETag", *headers)),
    } | _refusals(*more)


def _refusals(*statuses: int) -> dict[int, Described]:
    described = {
        403: "The token may see it, and not change it.",
        404: _ABSENT,
        413: "The body is too long.",
        422: "A parameter is missing or wrong.",
    }
    bodies: dict[int, type] = {422: github_rest.ValidationError}
    return {
        status: Described(described[status], bodies.get(status, github_rest.BasicError))
        for status in statuses
    }


def _of_owner(resource: str) -> tuple[str, str]:
    # GitHub has usage below the one and limits below the other; both are taken for both.
    below = f"{{org}}/actions/cache/{resource}"
    if resource.startswith("usage"):
        return f"/orgs/{below}", f"/organizations/{below}"
    return f"/organizations/{below}", f"/orgs/{below}"


_LISTS: Final = (
    Operation(
        name="listCaches",
        method="GET",
        paths=(f"{_REPOSITORY}caches",),
        handler=caches.list_caches,
        summary="List the caches of a repository",
        query=(
            *_PAGING,
            _CURSOR,
            _REF,
            Parameter("key", "How the keys begin.", {"type": "string"}),
            Parameter(
                "sort",
                "What they are ordered by.",
                {
                    "type": "string",
                    "enum": ["created_at", "last_accessed_at", "size_in_bytes"],
                    "default": "last_accessed_at",
                },
            ),
            Parameter(
                "direction",
                "In which direction.",
                {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
            ),
        ),
        answers=_answers(github_rest.CacheList, 404, 422, headers=("Link",)),
        scopes="repo",
        permissions="actions=read",
    ),
    Operation(
        name="deleteCachesByKey",
        method="DELETE",
        paths=(f"{_REPOSITORY}caches",),
        handler=caches.delete_by_key,
        summary="Delete the caches with a key",
        query=(
            Parameter(
                "key", "The whole key.", {"type": "string", "minLength": 1}, is_required=True
            ),
            _REF,
        ),
        answers={200: Described("What was deleted.", github_rest.CacheList)}
        | _refusals(403, 404, 422),
        scopes="repo",
        permissions="actions=write",
    ),
    Operation(
        name="deleteCache",
        method="DELETE",
        paths=(f"{_REPOSITORY}caches/{{cache_id}}",),
        handler=caches.delete_by_id,
        summary="Delete a cache",
        answers=_DONE | _refusals(403, 404),
        scopes="repo",
        permissions="actions=write",
    ),
)

_USAGE: Final = (
    Operation(
        name="getRepositoryUsage",
        method="GET",
        paths=(f"{_REPOSITORY}cache/usage",),
        handler=usage.repository_usage,
        summary="How much a repository keeps",
        answers=_answers(github_rest.RepositoryUsage, 404),
        scopes="repo",
        permissions="actions=read",
    ),
    Operation(
        name="getOrganizationUsage",
        method="GET",
        paths=_of_owner("usage"),
        handler=usage.owner_usage,
        summary="How much all repositories of an organisation keep",
        answers=_answers(github_rest.OwnerUsage, 404),
        scopes="read:org",
        permissions="organization_administration=read",
    ),
    Operation(
        name="listUsageByRepository",
        method="GET",
        paths=_of_owner("usage-by-repository"),
        handler=usage.usage_by_repository,
        summary="How much each repository of an organisation keeps",
        query=_PAGING,
        answers=_answers(github_rest.UsageList, 404, headers=("Link",)),
        scopes="read:org",
        permissions="organization_administration=read",
    ),
    Operation(
        name="getServerUsage",
        method="GET",
        paths=(f"{_ENTERPRISE}usage",),
        handler=usage.server_usage,
        summary="How much the server keeps, whatever the enterprise is called",
        answers=_answers(github_rest.OwnerUsage, 404),
        scopes="admin:enterprise",
        permissions="enterprise_administration=write",
    ),
)

_LIMITS: Final = (
    Operation(
        name="getRepositoryRetentionLimit",
        method="GET",
        paths=(f"{_REPOSITORY}cache/retention-limit",),
        handler=limits.telling(readable_repository, limits.retention),
        summary="The retention limit that counts for a repository",
        answers=_answers(github_limits.RetentionLimit, 404),
        scopes="admin:repository",
        permissions="administration=read",
    ),
    Operation(
        name="setRepositoryRetentionLimit",
        method="PUT",
        paths=(f"{_REPOSITORY}cache/retention-limit",),
        handler=limits.setting(writable_repository, limits.with_retention),
        summary="Set the retention limit of a repository",
        body=github_limits.SetRetentionLimit,
        answers=_DONE | _refusals(403, 404, 413, 422),
        scopes="admin:repository",
        permissions="administration=write",
    ),
    Operation(
        name="getRepositoryStorageLimit",
        method="GET",
        paths=(f"{_REPOSITORY}cache/storage-limit",),
        handler=limits.telling(readable_repository, limits.storage),
        summary="The storage limit that counts for a repository",
        answers=_answers(github_limits.StorageLimit, 404),
        scopes="admin:repository",
        permissions="actions=read",
    ),
    Operation(
        name="setRepositoryStorageLimit",
        method="PUT",
        paths=(f"{_REPOSITORY}cache/storage-limit",),
        handler=limits.setting(writable_repository, limits.with_storage),
        summary="Set the storage limit of a repository",
        body=github_limits.SetStorageLimit,
        answers=_DONE | _refusals(403, 404, 413, 422),
        scopes="admin:repository",
        permissions="administration=write",
    ),
    Operation(
        name="getOrganizationRetentionLimit",
        method="GET",
        paths=_of_owner("retention-limit"),
        handler=limits.telling(readable_owner, limits.retention),
        summary="The retention limit that counts for an organisation",
        answers=_answers(github_limits.RetentionLimit, 404),
        scopes="admin:organization",
        permissions="organization_administration=read",
    ),
    Operation(
        name="setOrganizationRetentionLimit",
        method="PUT",
        paths=_of_owner("retention-limit"),
        handler=limits.setting(writable_owner, limits.with_retention),
        summary="Set the retention limit of an organisation",
        body=github_limits.SetRetentionLimit,
        answers=_DONE | _refusals(403, 404, 413, 422),
        scopes="admin:organization",
        permissions="organization_administration=write",
    ),
    Operation(
        name="getOrganizationStorageLimit",
        method="GET",
        paths=_of_owner("storage-limit"),
        handler=limits.telling(readable_owner, limits.storage),
        summary="The storage limit that counts for each repository of an organisation",
        answers=_answers(github_limits.StorageLimit, 404),
        scopes="admin:organization",
        permissions="organization_administration=read",
    ),
    Operation(
        name="setOrganizationStorageLimit",
        method="PUT",
        paths=_of_owner("storage-limit"),
        handler=limits.setting(writable_owner, limits.with_storage),
        summary="Set the storage limit of each repository of an organisation",
        body=github_limits.SetStorageLimit,
        answers=_DONE | _refusals(403, 404, 413, 422),
        scopes="admin:organization",
        permissions="organization_administration=write",
    ),
    Operation(
        name="getServerRetentionLimit",
        method="GET",
        paths=(f"{_ENTERPRISE}retention-limit",),
        handler=limits.telling(limits.server, limits.retention),
        summary="The retention limit of the server",
        answers=_answers(github_limits.RetentionLimit, 404),
        scopes="admin:enterprise",
        permissions="enterprise_administration=read",
    ),
    Operation(
        name="setServerRetentionLimit",
        method="PUT",
        paths=(f"{_ENTERPRISE}retention-limit",),
        handler=limits.refuse_for_server,
        summary="Refused: the limits of the server are settings",
        body=github_limits.SetRetentionLimit,
        answers=_refusals(403, 404),
        scopes="admin:enterprise",
        permissions="enterprise_administration=write",
    ),
    Operation(
        name="getServerStorageLimit",
        method="GET",
        paths=(f"{_ENTERPRISE}storage-limit",),
        handler=limits.telling(limits.server, limits.storage),
        summary="The storage limit that the server has for each repository",
        answers=_answers(github_limits.StorageLimit, 404),
        scopes="admin:enterprise",
        permissions="enterprise_administration=read",
    ),
    Operation(
        name="setServerStorageLimit",
        method="PUT",
        paths=(f"{_ENTERPRISE}storage-limit",),
        handler=limits.refuse_for_server,
        summary="Refused: the limits of the server are settings",
        body=github_limits.SetStorageLimit,
        answers=_refusals(403, 404),
        scopes="admin:enterprise",
        permissions="enterprise_administration=write",
    ),
)

_POLICIES: Final = (
    Operation(
        name="getRepositoryUsagePolicy",
        method="GET",
        paths=(f"{_REPOSITORY}cache/usage-policy",),
        handler=limits.telling(readable_repository, limits.repository_policy),
        summary="The storage limit of a repository, as on GitHub Enterprise Server",
        answers=_answers(github_limits.RepositoryPolicy, 404),
        scopes="repo",
        permissions="actions=read",
    ),
    Operation(
        name="setRepositoryUsagePolicy",
        method="PATCH",
        paths=(f"{_REPOSITORY}cache/usage-policy",),
        handler=limits.setting(writable_repository, limits.with_repository_policy),
        summary="Set the storage limit of a repository, as on GitHub Enterprise Server",
        body=github_limits.SetRepositoryPolicy,
        answers=_DONE | _refusals(403, 404, 413, 422),
        scopes="repo",
        permissions="actions=write",
    ),
    Operation(
        name="getServerUsagePolicy",
        method="GET",
        paths=(f"{_ENTERPRISE}usage-policy",),
        handler=limits.telling(limits.server, limits.server_policy),
        summary="The storage limits of the server, as on GitHub Enterprise Server",
        answers=_answers(github_limits.ServerPolicy, 404),
        scopes="admin:enterprise",
    ),
    Operation(
        name="setServerUsagePolicy",
        method="PATCH",
        paths=(f"{_ENTERPRISE}usage-policy",),
        handler=limits.refuse_for_server,
        summary="Refused: the limits of the server are settings",
        body=github_limits.SetServerPolicy,
        answers=_refusals(403, 404),
        scopes="admin:enterprise",
    ),
)

_LOGIN: Final = (
    Operation(
        name="getRoot",
        method="GET",
        paths=("/",),
        handler=login.root,
        summary="Where things are; the headers say what the token may do",
        answers=_answers(github_rest.Root),
        is_open=True,
    ),
    Operation(
        name="getRateLimit",
        method="GET",
        paths=("/rate_limit",),
        handler=login.rate_limit,
        summary="How often a client may ask: always",
        answers=_answers(github_rest.RateLimits),
        is_open=True,
    ),
    Operation(
        name="queryGraphql",
        method="POST",
        paths=("/graphql", "/api/graphql"),
        prefixes=("",),
        handler=login.graphql,
        summary="Whose token it is; no other query is answered",
        body=graphql.GraphqlQuery,
        answers={200: Described("The answer.", graphql.GraphqlAnswer)} | _refusals(413),
    ),
)

OPERATIONS: Final = (*_LISTS, *_USAGE, *_LIMITS, *_POLICIES, *_LOGIN)
