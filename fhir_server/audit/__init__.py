"""Who did what to whose data: records in the ledger, chained and signed, shown as AuditEvent."""
