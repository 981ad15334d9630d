"""Answers about caches and the workflows that use them."""
