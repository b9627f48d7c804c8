"""Films that are being made: ids that say whom to ask, and jobs of models that answer over chat."""
