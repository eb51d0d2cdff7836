"""Tables as text: labels of every kind, and errors that name the line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from engine.data.readers import read_csv
from engine.errors import ConfigurationError, FormatError, UnknownName
from tests.unit import damage


def write(folder: Path, text: str, name: str = "table.csv") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8", newline="")
    return file


def test_numbers_with_the_label_last(tmp_path):
    data = read_csv(write(tmp_path, "0.5,2,1\n-1e3,nan,0\n"))
    assert data.x.dtype == np.float32
    assert np.array_equal(data.x, np.float32([[0.5, 2], [-1000, np.nan]]), equal_nan=True)
    assert data.y.tolist() == [1, 0]
    assert data.y.dtype == np.int64
    assert data.classes is None


@pytest.mark.parametrize("label", [0, -3, "digit"])
def test_a_row_of_names_and_a_label_column(tmp_path, label):
    file = write(tmp_path, "digit,a,b\r\n7,1,2\r\n\r\n3,4,5\r\n")
    data = read_csv(file, label)
    assert data.y.tolist() == [7, 3]
    assert data.x.tolist() == [[1, 2], [4, 5]]


def test_names_that_are_numbers(tmp_path):
    file = write(tmp_path, "0,1,label\n5,6,1\n")
    assert len(read_csv(file, "label", header=True)) == 1
    assert read_csv(file, "label").x.tolist() == [[5, 6]]
    with pytest.raises(FormatError, match="header=False, so no column is called 'label'"):
        read_csv(file, "label", header=False)
    assert len(read_csv(write(tmp_path, "a,b,1\n5,6,1\n"))) == 1
    damage.refused(lambda p: read_csv(p, header=False), write(tmp_path, "a,b,1\n5,6,1\n"), "line 1")


def test_labels_as_words(tmp_path):
    data = read_csv(write(tmp_path, "1,2,cat\n3,4,ape\n5,6, cat\n"))
    assert data.y.tolist() == [1, 0, 1]
    assert data.classes == ("ape", "cat")


@pytest.mark.parametrize("value", ["0.25", "1e300", "nan", "9007199254740994"])
def test_labels_as_values(tmp_path, value: str):
    data = read_csv(write(tmp_path, f"1,2,{value}\n3,4,1\n"))
    assert data.y.dtype == np.float32
    with np.errstate(over="ignore"):
        assert np.array_equal(data.y[0], np.float32(value), equal_nan=True)


def test_folded_into_images(tmp_path):
    file = write(tmp_path, "1,2,3,4,0\n5,6,7,8,1\n")
    assert read_csv(file, shape=(1, 2, 2)).x[1].tolist() == [[[5, 6], [7, 8]]]
    for shape in ((1, 2, 3), (-1, -4), ()):
        with pytest.raises(ConfigurationError, match="the table has 4 feature columns"):
            read_csv(file, shape=shape)


def test_tabs_semicolons_quotes_and_packing(tmp_path):
    expected = [[1, 2]]
    assert read_csv(write(tmp_path, "1\t2\t0\n", "table.tsv")).x.tolist() == expected
    assert read_csv(write(tmp_path, "1;2;0\n"), delimiter=";").x.tolist() == expected
    quoted = write(tmp_path, '"1","2","a, ""b"""\n3,4,c\n')
    assert read_csv(quoted).classes == ('a, "b"', "c")
    assert read_csv(write(tmp_path, "\ufeff1,2,0")).x.tolist() == expected
    file = tmp_path / "table.tsv.gz"
    file.write_bytes(gzip.compress(b"1\t2\t0\n"))
    assert read_csv(file).x.tolist() == expected
    damage.refused_when_truncated(read_csv, file, range(3, file.stat().st_size))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,0\n1,x,0\n", "line 2, column 2: expected a number, received 'x'"),
        ("1,2,0\n\n1,,0\n", "line 3, column 2: expected a number, received ''"),
        ("1,2,0\n1,2\n", "line 2 has 2 columns, expected 3 as in line 1"),
        ("1,2,0\n1,2,0,4\n", "line 2 has 4 columns"),
        ("1,2,0\n1,2,\n", "line 2, column 3: the label is missing"),
        ("1,1_000,0\n", "line 1, column 2: expected a number, received '1_000'"),
        ("1,1e39,0\n", "line 1: a number is too large for float32"),
        ('1,"2,0\n', "line 1 is no row of a table"),
        ("1\n2\n", "received one column"),
        ("a,b,c\n", "no rows below the names"),
        ("\n\n", "the table has no rows"),
        ("1,2," + "x" * 200_000 + "\n", "field larger than field limit"),
        ("1,\0,0\n", "expected a number"),
    ],
)
def test_wrong_rows(tmp_path, text: str, expected: str):
    damage.refused(read_csv, write(tmp_path, text), expected)


def test_what_a_spreadsheet_saves_as_unicode(tmp_path):
    file = tmp_path / "table.csv"
    file.write_bytes("1,2,0\n".encode("utf-16"))
    damage.refused(read_csv, file, "no UTF-8 text .byte 0.; a table program saves it as 'CSV UTF")


def test_what_is_no_text(tmp_path):
    file = tmp_path / "table.csv"
    file.write_bytes("1,2,café\n".encode("latin-1"))
    damage.refused(read_csv, file, "no UTF-8 text .byte 7.")


def test_what_is_no_file(tmp_path):
    damage.refuses_what_is_no_file(read_csv, tmp_path)


def test_a_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.data.readers.csv.MAX_TEXT_BYTES", 100_000)
    file = tmp_path / "bomb.csv.gz"
    file.write_bytes(gzip.compress(b"1,2,0\n" * 10_000_000))
    damage.refused_cheaply(read_csv, file, "unpacks to more than 100,000 bytes")


def test_what_packs_too_well_is_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.data.readers.files.PACKED_FREELY", 100_000)
    file = tmp_path / "bomb.csv.gz"
    file.write_bytes(gzip.compress(b"1,2,0\n" * 1_000_000))
    limit = file.stat().st_size * 200 + 2**20
    damage.refused_cheaply(read_csv, file, "unpacks to more than", 2 * limit)


def test_columns_that_do_not_exist(tmp_path):
    file = write(tmp_path, "a,b,c\n1,2,0\n")
    with pytest.raises(UnknownName, match="there are: a, b, c"):
        read_csv(file, "label")
    for label in (3, -4):
        with pytest.raises(ConfigurationError, match=f"no column {label}; there are 3"):
            read_csv(file, label)
    for settings in ({"label": 1.5}, {"label": True}, {"delimiter": ""}, {"delimiter": ";;"}):
        with pytest.raises(ConfigurationError, match="read_csv: expected"):
            read_csv(file, **settings)


@pytest.mark.parametrize("settings", [{"header": 0}, {"header": 1}, {"index": 0}, {"index": "id"}])
def test_yes_and_no_are_no_numbers(tmp_path, settings):
    """To other programs header=0 is the number of the row of names: the opposite of False."""
    with pytest.raises(ConfigurationError, match=r"^read_csv (header|index): expected True or"):
        read_csv(write(tmp_path, "a,b,c\n5,6,1\n"), **settings)
    assert len(read_csv(write(tmp_path, "1,2,0\n5,6,1\n"), header=np.False_)) == 2


@pytest.mark.parametrize("delimiter", ['"', "\n", "\r", "\0", "1"])
def test_signs_that_divide_no_columns(tmp_path, delimiter: str):
    with pytest.raises(ConfigurationError, match="expected one character as delimiter"):
        read_csv(write(tmp_path, "1,2,0\n"), delimiter=delimiter)
