"""The HTTP server: one handler file a dialect, which decodes, asks the service, and answers."""
