"""The pages of support: search, and a ticket's whole story."""
