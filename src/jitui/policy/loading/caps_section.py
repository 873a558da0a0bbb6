"""Reads a policy file's `caps`."""

from __future__ import annotations

from jitui.policy.caps import CAP_SCOPES
from jitui.policy.loading import caps_format as form
from jitui.policy.loading.field_readers import Notes, duration, fields, integer, items, read
from jitui.policy.loading.parameters import Parameters, number
from jitui.policy.loading.yaml_document import Node
from jitui.policy.sections import DEFAULT_ALERTS, Cap, Caps


def read_caps(notes: Notes, node: Node | None, parameters: Parameters) -> Caps:
    """The caps; without the section, none."""
    if node is None:
        return Caps()
    found = fields(notes, node, form.CAPS.what, form.CAPS.required, form.CAPS.optional)
    caps = {key: _cap(notes, found[key], key, parameters) for key in CAP_SCOPES if key in found}
    alerts = _alerts(notes, found["alerts_at_percent"]) if "alerts_at_percent" in found else DEFAULT_ALERTS
    return Caps(**caps, alerts_at_percent=alerts)


def _cap(notes: Notes, node: Node, what: str, parameters: Parameters) -> Cap | None:
    found = fields(notes, node, what, form.CAP.required, form.CAP.optional)
    over = read(notes, found, "over", duration("hd", form.MAX_WINDOW_DAYS))
    count = read(notes, found, "count", number(parameters, form.CAP_COUNT))
    amount_minor = read(notes, found, "amount_minor", number(parameters, form.CAP_AMOUNT_MINOR))
    if found and "count" not in found and "amount_minor" not in found:
        notes.add(node.place, f"{what} caps nothing: give it a count, an amount_minor, or both")
    return Cap(count, amount_minor, over) if over else None


def _alerts(notes: Notes, node: Node) -> tuple[int, ...]:
    percent = integer(form.ALERT_PERCENT.least, form.ALERT_PERCENT.most)
    read_shares = [
        percent(notes, item, "a share in alerts_at_percent") for item in items(notes, node, "alerts_at_percent")
    ]
    return tuple(sorted({share for share in read_shares if share is not None}))
