"""What the server is told to do: frozen dataclasses, checked when they are made."""
