"""The protocols as data, one module a dialect: no I/O, and used by both ends of a connection."""
