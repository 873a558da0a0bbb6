"""The segments by which a report tells who gains and who loses: facts, or columns of the table `requests`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import ibis

from jitui.errors import BadInput
from jitui.policy import FactSpec, FactType
from jitui.policy.problems import did_you_mean
from jitui.tabular.shown import shown

BUILT_IN = ("amount", "category", "tier", "region", "shop")
"""The segments that every report has."""

KNOWN = "known."
"""Columns of a decision with this prefix say whether a fact was known."""
_NAME = re.compile(r"[^\W_][\w -]{0,39}")
_OPTION = "--segment"


@dataclass(frozen=True, slots=True)
class SegmentSpec:
    """One segment of the owner's: its name, and the fact or column whose values are its rows."""

    name: str
    source: str
    is_fact: bool
    is_number: bool = False
    is_money: bool = False

    @property
    def column(self) -> str:
        """The column of the decisions that has its value as text."""
        return f"segment.{self.name}"


def read_segments(options: Sequence[str], facts: Mapping[str, FactSpec]) -> tuple[SegmentSpec, ...]:
    """The segments of options such as `carrier=carrier_code`; `facts` are those that the policy may read.

    Raises BadInput for an option without a name or a source, for a name given twice, and for a fact that no segment
    can have.
    """
    found: dict[str, SegmentSpec] = {}
    for option in options:
        name, sign, source = (part.strip() for part in option.partition("="))
        if not sign or not source or not _NAME.fullmatch(name):
            raise BadInput(
                f"{shown(option)} is not a segment: write NAME=SOURCE, where SOURCE is a fact of the policy or a column"
                " of the history's table requests, and NAME has letters, digits, spaces and hyphens.",
                path=_OPTION,
            )
        if name in BUILT_IN:
            raise BadInput(f"The report has a segment {name} of its own: give this one another name.", path=_OPTION)
        if name in found:
            raise BadInput(f"There are two segments with the name {shown(name)}.", path=_OPTION)
        found[name] = _segment(name, source, facts)
    return tuple(found.values())


def _segment(name: str, source: str, facts: Mapping[str, FactSpec]) -> SegmentSpec:
    spec = facts.get(source)
    if spec is None:
        return SegmentSpec(name, source, is_fact=False)
    if spec.type is FactType.LINES or source.startswith("caps."):
        raise BadInput(
            f"{source} cannot be a segment: it has no single value that is known before the request is decided.",
            path=_OPTION,
        )
    return SegmentSpec(name, source, True, spec.type is FactType.INT, spec.is_money)


def check_columns(segments: Sequence[SegmentSpec], columns: Collection[str], facts: Collection[str]) -> None:
    """Raises BadInput for a segment that is neither a fact nor one of these columns of `requests`."""
    for one in segments:
        if not one.is_fact and one.source not in columns:
            near = did_you_mean(one.source, sorted({*columns, *facts}))
            raise BadInput(
                f"The segment {shown(one.name)} needs {shown(one.source)}, which is neither a fact of the policy nor a"
                f" column of the table requests{near}. The columns of requests are {', '.join(sorted(columns))}.",
                path=_OPTION,
            )


def with_segments(rows: ibis.Table, requests: ibis.Table, segments: Sequence[SegmentSpec]) -> ibis.Table:
    """The rows with the value of each segment as text, NULL where it is unknown."""
    columns = {one.column: requests[one.source].cast("string") for one in segments if not one.is_fact}
    if columns:
        own = requests.select("request_id", **columns)
        rows = rows.left_join(own, "request_id").drop("request_id_right")
    of_facts = {
        one.column: rows[one.source].cast("string") if one.source in rows.columns else ibis.null("string")
        for one in segments
        if one.is_fact
    }
    return rows.mutate(**of_facts) if of_facts else rows
