"""Where bytes are: blobs, each an ordered set of parts that are written once."""
