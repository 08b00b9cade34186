"""What the command line does beside serving: one module a command, with a `run(arguments)`."""
