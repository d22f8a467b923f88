"""Time, waiting for changes, and the plain tools that every part uses."""
