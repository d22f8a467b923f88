"""Small trainings with real frameworks, the same at each start; run here or as programs."""
