"""The books for finance: the journal by days, closed periods, and what a shop is told of its money."""
