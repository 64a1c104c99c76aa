"""assembler: corrects frames, and places them into the ImageBuffer as images."""
