"""`jitui policy schema`: the JSON Schema of a policy file, for editors."""

from __future__ import annotations

from jitui.entrypoints.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of a policy file, with which an editor completes and checks it.

    docs/reference/policy-file.md explains how to use it in an editor.
    """
    from jitui.policy.loading.json_schema import policy_schema

    print_json(policy_schema())
