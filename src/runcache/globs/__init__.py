"""Patterns of files with the semantics of `@actions/glob`: what they match, and its digest."""
