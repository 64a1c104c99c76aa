"""MFM frames of GET electronics: their headers and items, streams and files of them."""
