"""Who may do what: tokens, roles, bindings. Off until somebody activates it."""
