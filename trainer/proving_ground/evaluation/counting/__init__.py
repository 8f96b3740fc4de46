"""A frame's predictions and labels become counts, whose sums over any frames become scores."""
