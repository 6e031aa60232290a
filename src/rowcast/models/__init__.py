"""Model versions: the matrix a model sees, the model itself, its bytes, and its place in the store."""
