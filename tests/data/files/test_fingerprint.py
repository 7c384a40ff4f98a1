import os

from penstock.data.files.fingerprint import fingerprint_files


def written(folder, **files):
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return fingerprint_files(str(folder), [str(folder / name) for name in files])


def test_it_depends_on_content(tmp_path):
    assert written(tmp_path / "1", a="x", b="y") != written(tmp_path / "2", a="x", b="z")


def test_it_depends_on_relative_names(tmp_path):
    assert written(tmp_path / "1", a="x", b="y") != written(tmp_path / "2", a="y", b="x")


def test_it_depends_neither_on_the_folder_nor_on_the_order(tmp_path):
    assert written(tmp_path / "1", a="x", b="y") == written(tmp_path / "2", b="y", a="x")


def test_it_does_not_depend_on_modification_times(tmp_path):
    before = written(tmp_path / "1", a="x")
    path = str(tmp_path / "1" / "a")
    os.utime(path, (1, 1))
    assert fingerprint_files(str(tmp_path / "1"), [path]) == before
