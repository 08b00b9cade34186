"""Version lifecycle: a pure policy, and the manager that carries it out."""
