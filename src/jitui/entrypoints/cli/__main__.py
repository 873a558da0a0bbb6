"""`python -m jitui.entrypoints.cli`: the `jitui` command, for child processes of the same installation."""

from jitui.entrypoints.cli.main import main

if __name__ == "__main__":
    main()
