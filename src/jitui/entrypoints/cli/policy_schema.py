"""`jitui policy schema`: the JSON Schema of a policy file, for editors."""

from __future__ import annotations

from jitui.entrypoints.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of a policy file, by which an editor completes and checks it.

    docs/reference/policy-file.md says how an editor is told of it.
    """
    from jitui.policy.loading.json_schema import policy_schema

    print_json(policy_schema())
