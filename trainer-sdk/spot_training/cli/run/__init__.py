"""`spot-training run`: kills a script again and again, and starts it until it completes."""
