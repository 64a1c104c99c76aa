"""Recording by write request, for images or anything else with an id: messages, StoreStream, verdicts, file names."""
