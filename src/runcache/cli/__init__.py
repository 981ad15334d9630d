"""The command line: one file a command, all talk and all exit codes."""
