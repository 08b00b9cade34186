"""Which loaded version answers for which name, version and label."""
