"""Who may see what: pure decisions over callers, scopes, roles, facilities and consent."""
