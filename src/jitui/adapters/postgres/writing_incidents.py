"""The statements of changes that are about an incident; see `writing`."""

from __future__ import annotations

from typing import LiteralString

from jitui.aftersales import changes as c
from jitui.aftersales.model.task import BY_THE_SERVICE

ROWS: LiteralString = "jsonb_to_recordset(%(rows)s::jsonb)"
"""The changes of a kind, as rows."""

INCIDENT_SQL: dict[type, LiteralString] = {
    c.OpenIncident: f"""
        INSERT INTO incident (lane, incident_id, order_id, ticket_id, shop_id, kind, state, amount_minor, currency,
            evidence, opened_at, refund_id, due_at)
        SELECT %(lane)s, r.incident_id, %(order_id)s, r.ticket_id, r.shop_id, r.kind, 'open',
            r.amount_minor, r.currency, jsonb_build_array(r.evidence), r.opened_at, r.refund_id,
            CASE r.kind WHEN 'platform_advance' THEN r.opened_at ELSE r.opened_at + interval '168 hours' END
        FROM {ROWS} AS r (incident_id uuid, ticket_id uuid, shop_id text, kind text, amount_minor bigint,
            currency text, evidence jsonb, opened_at timestamptz, refund_id uuid)
        ON CONFLICT (lane, ticket_id) WHERE kind = 'goods_left_after_refund' DO UPDATE
        SET evidence = incident.evidence || excluded.evidence,
            amount_minor = greatest(incident.amount_minor, excluded.amount_minor),
            version = incident.version + 1,
            state = CASE WHEN excluded.amount_minor > incident.amount_minor AND incident.state <> 'contested'
                THEN 'open' ELSE incident.state END,
            due_at = CASE WHEN excluded.amount_minor > incident.amount_minor
                THEN least(incident.due_at, excluded.due_at) ELSE incident.due_at END
        """,
    c.MoveIncident: f"""
        WITH rows AS (
            SELECT i.*, r.entry FROM {ROWS} AS r (incident jsonb, entry jsonb),
                jsonb_populate_record(NULL::incident, r.incident) i),
        moved AS (
            UPDATE incident i SET state = r.state, version = r.version, outcome = r.outcome, outcome_no = r.outcome_no,
                returned_minor = r.returned_minor, repaid_minor = r.repaid_minor, platform_minor = r.platform_minor,
                shop_minor = r.shop_minor, recovered_minor = r.recovered_minor,
                written_off_minor = r.written_off_minor, attempts = r.attempts, reference = r.reference,
                reason = r.reason, decided_by = r.decided_by, decided_at = r.decided_at,
                contest_until = r.contest_until, recover_until = r.recover_until, reminded_at = r.reminded_at,
                due_at = r.due_at, entries = r.entries
            FROM (SELECT DISTINCT ON (incident_id) * FROM rows ORDER BY incident_id, entries DESC) r
            WHERE i.lane = %(lane)s AND i.incident_id = r.incident_id),
        noted AS (
            INSERT INTO incident_entry (lane, incident_id, seq, order_id, kind, at, by, detail)
            SELECT %(lane)s, r.incident_id, e.seq, %(order_id)s, e.kind, e.at, e.by, e.detail
            FROM rows r, jsonb_to_record(r.entry) AS e (seq int, kind text, at timestamptz, by text, detail jsonb)
            WHERE r.entry IS NOT NULL AND jsonb_typeof(r.entry) = 'object')
        SELECT append_audit(e.at, coalesce(nullif(e.by, ''), '{BY_THE_SERVICE}'), 'incident.' || e.kind,
            r.incident_id::text, jsonb_strip_nulls(jsonb_build_object('outcome', r.outcome,
                'amount_minor', r.amount_minor, 'currency', r.currency, 'shop_minor', r.shop_minor,
                'platform_minor', r.platform_minor, 'repaid_minor', r.repaid_minor,
                'returned_minor', r.returned_minor, 'recovered_minor', r.recovered_minor,
                'written_off_minor', r.written_off_minor))::text)
        FROM rows r, jsonb_to_record(r.entry) AS e (seq int, kind text, at timestamptz, by text)
        WHERE jsonb_typeof(r.entry) = 'object' AND e.kind NOT IN ('reminder', 'closed')
        ORDER BY r.incident_id, e.seq
        """,
    c.PutContest: f"""
        INSERT INTO complaint (complaint_id, shop_id, reason, made_by, made_at, answer_by, state, outcome, answer,
            answered_by, answered_at, incident_id, decided_by)
        SELECT c.complaint_id, c.shop_id, c.reason, c.made_by, c.made_at, c.answer_by, c.state, c.outcome, c.answer,
            c.answered_by, c.answered_at, r.incident_id, c.decided_by
        FROM {ROWS} AS r (incident_id uuid, contest jsonb), jsonb_populate_record(NULL::complaint, r.contest) c
        ON CONFLICT (complaint_id) DO UPDATE
        SET state = excluded.state, outcome = excluded.outcome, answer = excluded.answer,
            answered_by = excluded.answered_by, answered_at = excluded.answered_at
        """,
}
