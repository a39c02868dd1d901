"""Labels that are probably wrong, ranked by what models that never saw them say."""
