"""What is seen of the world, classified once: pods, nodes, ages, the policy in force."""
