"""How fast a whole `rowcast infer` is, beside the limit that the database sets and beside the plain way."""
