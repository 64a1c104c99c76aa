"""Files and folders in places that other users of the machine can write to: who made them, and how they are opened."""
