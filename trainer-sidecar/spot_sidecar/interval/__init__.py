"""How often to save: what a save costs, how often work is lost, and what the user tolerates."""
