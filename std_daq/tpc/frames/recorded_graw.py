"""Where the GRAW files of a requested run lie."""

from pathlib import Path

INDEX_SUFFIX = ".graw.json"


def index_path(output_file: Path, file_format: str) -> Path:
    """Return the path of the index: the output file itself, or a name beside the merged file if both are written."""
    return output_file if file_format == "graw" else output_file.with_name(output_file.name + INDEX_SUFFIX)


def graw_folder(output_file: Path) -> Path:
    """Return the folder of the GRAW files: ``run7_graw`` for ``run7.json`` and ``run7.h5``."""
    return output_file.with_name(f"{output_file.stem}_graw")
