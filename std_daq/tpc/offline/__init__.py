"""The analysis of files: the pipeline over merged and GRAW files, on many cores or a cluster."""
