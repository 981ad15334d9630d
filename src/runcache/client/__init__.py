"""Saves and restores: against a server over HTTP, and without any on the embedded store."""
