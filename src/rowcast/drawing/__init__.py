"""Pages and their pictures: HTML and SVG made by pure functions, without scripts and links to outside."""
