"""What people read: conditions, the line of text beside them, events."""
