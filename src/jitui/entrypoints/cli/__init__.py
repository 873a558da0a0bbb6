"""The `jitui` command."""
