"""Control charts for people: in words, as pictures, as a page."""
