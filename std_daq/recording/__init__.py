"""Write requests and runs of anything that has an id: messages, StoreStream, verdicts, names of files."""
