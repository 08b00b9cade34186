"""What integration and compatibility tests share: models, a real server process, clients."""
