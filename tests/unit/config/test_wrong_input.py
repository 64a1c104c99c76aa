"""What is wrong with a configuration is told in words of whoever wrote it."""

from pathlib import Path

import pytest

from std_daq.config.load import read_document
from std_daq.errors import ConfigError

WRONG = {
    "": "is not JSON: the file is empty",
    " \n": "is not JSON: the file is empty",
    '{\n  // the name\n  "name": "a"}': "JSON has no comments; there is one in line 2, column 3",
    '{"name": "a" /* b */}': "JSON has no comments; there is one in line 1, column 14",
    '# a\n{"name": "a"}': "JSON has no comments; there is one in line 1, column 1",
    "{'name': 'a'}": "JSON writes texts between \" and \", not between ' and '",
    '{"name": "a",}': "there is a comma too many before the bracket in line 1",
    '{"name": ["a",]}': "there is a comma too many before the bracket in line 1",
    '{"name": "a" "b": 1}': "a comma or a closing bracket is missing in line 1, column 14",
    '{"name" "a"}': "a ':' is missing in line 1, column 9",
    '{"name": "a"': "it ends too early: a bracket or a quotation mark is not closed",
    '{"name": "a"} x': "there is something after the end in line 1, column 15",
    '{"name": True}': "'True' needs quotation marks, or is true, false or null",
    '{name: "a"}': "'name' needs quotation marks",
    '{"name": "a\nb"}': "a text goes over the end of a line, or has a tab",
}


@pytest.mark.parametrize(("text", "said"), WRONG.items(), ids=map(repr, WRONG))
def test_what_is_no_json_is_told_in_words(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "detector.json"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_document(file)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"name": "\xff"}', "is not a text in UTF-8: its byte 10 is none"),
        (b"[" * 100_000, "is nested too deeply"),
    ],
)
def test_what_is_no_text_is_told_in_words(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "detector.json"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        read_document(file)


def test_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        read_document(tmp_path)
