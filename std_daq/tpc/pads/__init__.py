"""The pad plane of a chamber: which channel reads which pad, and where the pads lie."""
