"""Reading the ring of any system while its owner writes: in order, the newest, by id, and what was lost."""
