"""What keeps the audit trail append-only in the database itself: triggers, on SQLite and on PostgreSQL.

They stop mistakes, not whoever may drop them: what such a one does, the chain tells. The migration holds the same.
"""

from sqlalchemy import DDL, Table, event

_SQLITE_AUDIT = (
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON audit "
    "WHEN OLD.seq > coalesce((SELECT max(seq) FROM audit_anchors), 0) "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
)
_SQLITE_ANCHORS = (
    "CREATE TRIGGER audit_anchors_unchanged BEFORE UPDATE ON audit_anchors "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
    "CREATE TRIGGER audit_anchors_kept BEFORE DELETE ON audit_anchors "
    "WHEN OLD.seq >= (SELECT max(seq) FROM audit_anchors) "
    "BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END",
)
_POSTGRESQL_AUDIT = (
    "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit trail is append-only'; END $$",
    "CREATE FUNCTION audit_is_let_go() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF OLD.seq > coalesce((SELECT max(seq) FROM audit_anchors), 0) THEN "
    "RAISE EXCEPTION 'the audit trail is append-only'; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER audit_unchanged BEFORE UPDATE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_let_go()",
)
_POSTGRESQL_ANCHORS = (
    "CREATE FUNCTION audit_anchor_is_older() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF OLD.seq >= (SELECT max(seq) FROM audit_anchors) THEN "
    "RAISE EXCEPTION 'the audit trail is append-only'; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER audit_anchors_unchanged BEFORE UPDATE OR TRUNCATE ON audit_anchors "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()",
    "CREATE TRIGGER audit_anchors_kept BEFORE DELETE ON audit_anchors "
    "FOR EACH ROW EXECUTE FUNCTION audit_anchor_is_older()",
)


def keep_append_only(audit: Table, anchors: Table) -> None:
    """Has the triggers made with the tables, where those are not made by a migration."""
    for table, dialect, statements in (
        (audit, "sqlite", _SQLITE_AUDIT),
        (anchors, "sqlite", _SQLITE_ANCHORS),
        (audit, "postgresql", _POSTGRESQL_AUDIT),
        (anchors, "postgresql", _POSTGRESQL_ANCHORS),
    ):
        for statement in statements:
            ddl = DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", ddl.execute_if(dialect=dialect))
