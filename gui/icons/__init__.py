"""Small drawings that the style sheet needs as files; their greys read well on both themes."""
