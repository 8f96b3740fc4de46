"""Statistics become what is shown beside the scores, and gates nothing."""
