"""Operating policies replayed over the user's own history, through the code that decides in production."""
