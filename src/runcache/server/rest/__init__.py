"""GitHub's REST API for caches (`github_rest`): a file of handlers a subject, and their table."""
