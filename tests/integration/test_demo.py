"""Point 6: the demo model, good at digits it has not seen, and the README's request."""
