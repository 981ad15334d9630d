"""Where facts are: repositories, entries, uploads, blobs and API tokens."""
