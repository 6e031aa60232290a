"""monitor: what runs looked like, counted while scoring, and whether that has changed."""
