"""Who may sign in and call: people, their roles and sessions."""
