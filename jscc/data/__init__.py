"""Pictures: reading pairs, cutting training batches, synthetic second views."""
