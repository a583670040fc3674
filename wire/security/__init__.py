"""Who may come in: tokens with roles, certificates, and the one door at which both are checked."""
