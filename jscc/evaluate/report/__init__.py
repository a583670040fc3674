"""What a run of the bench leaves beside its table: summaries, claims, figures, galleries."""
