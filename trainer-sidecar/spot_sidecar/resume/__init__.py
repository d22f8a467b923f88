"""From the operator's grant to the state that the trainer continues with."""
