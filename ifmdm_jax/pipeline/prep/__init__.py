"""Finding and cutting faces, before anything is learnt."""
