"""The pages of a buyer without an account: one order, and its refund."""
