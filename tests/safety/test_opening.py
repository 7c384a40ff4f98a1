"""No link below the root of what others may write too leads elsewhere."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from penstock.safety.opening import (
    descriptor_below,
    make_folder_below,
    open_below,
    replace_below,
)

pytestmark = pytest.mark.core


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").write_text("secret")
    return tmp_path / "root"


def refuses(act):
    with pytest.raises(OSError, match="a symbolic link, or no plain file or folder, is in") as told:
        act()
    assert told.value.errno == errno.ELOOP
    return told.value


@pytest.mark.parametrize("mode", ["r", "w", "a", "r+", "w+b"])
def test_a_link_in_the_place_of_a_file_is_not_followed(root, mode):
    (root / "a" / "log").symlink_to(root.parent / "elsewhere" / "secret")
    error = refuses(lambda: open_below(str(root), str(root / "a" / "log"), mode))
    assert error.filename == str(root / "a" / "log")
    assert (root.parent / "elsewhere" / "secret").read_text() == "secret"


@pytest.mark.parametrize("mode", ["r", "w", "a"])
def test_a_link_to_nothing_makes_no_file(root, mode):
    (root / "log").symlink_to(root.parent / "elsewhere" / "new")
    refuses(lambda: open_below(str(root), str(root / "log"), mode))
    assert not (root.parent / "elsewhere" / "new").exists()


@pytest.mark.parametrize("mode", ["r", "w", "a"])
def test_a_link_in_the_place_of_a_folder_between_is_not_followed(root, mode):
    (root / "link").symlink_to(root.parent / "elsewhere")
    error = refuses(lambda: open_below(str(root), str(root / "link" / "secret"), mode))
    assert error.filename == str(root / "link")


def test_the_root_itself_may_be_a_link(root):
    (root.parent / "other").symlink_to(root)
    other = root.parent / "other"
    with open_below(str(other), str(other / "a" / "log"), "w") as file:
        file.write("text")
    assert (root / "a" / "log").read_text() == "text"


def test_a_pipe_is_not_waited_for(root):
    os.mkfifo(root / "log")
    refuses(lambda: open_below(str(root), str(root / "log"), "w"))
    refuses(lambda: open_below(str(root), str(root / "log"), "r"))


def test_folders_are_made_for_what_is_written_only(root):
    with open_below(str(root), str(root / "x" / "y" / "log"), "a") as file:
        file.write("text")
    assert (root / "x" / "y" / "log").read_text() == "text"
    with pytest.raises(FileNotFoundError):
        open_below(str(root), str(root / "z" / "log"))
    assert not (root / "z").exists()


def test_no_root_is_made_for_a_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_below(str(tmp_path / "root"), str(tmp_path / "root" / "log"), "w")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("path", ["../elsewhere/secret", "a/../../elsewhere/secret", "."])
def test_what_is_not_below_the_root_is_refused(root, path):
    with pytest.raises(OSError, match="it is not below"):
        open_below(str(root), os.path.join(str(root), path), "w")


def test_writing_empties_a_file_and_appending_does_not(root):
    (root / "log").write_text("before")
    with open_below(str(root), str(root / "log"), "a") as file:
        file.write(" after")
    assert (root / "log").read_text() == "before after"
    with open_below(str(root), str(root / "log"), "w") as file:
        file.write("new")
    assert (root / "log").read_text() == "new"


def test_a_file_is_waited_for_as_files_are(root):
    descriptor = descriptor_below(str(root), str(root / "log"), os.O_WRONLY | os.O_CREAT)
    try:
        assert os.get_blocking(descriptor)
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_a_file_that_is_replaced_is_no_link_afterwards(root):
    (root / "a" / "page").symlink_to(root.parent / "elsewhere" / "secret")
    replace_below(str(root), str(root / "a" / "page"), "new")
    assert stat.S_ISREG(os.lstat(root / "a" / "page").st_mode)
    assert (root.parent / "elsewhere" / "secret").read_text() == "secret"


def test_nothing_is_left_of_a_file_that_cannot_be_replaced(root):
    (root / "a" / "page").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_below(str(root), str(root / "a" / "page"), "new", lasting=True)
    assert sorted(os.listdir(root / "a")) == ["b", "page"]


def test_a_file_is_replaced_over_no_link(root):
    (root / "link").symlink_to(root.parent / "elsewhere")
    refuses(lambda: replace_below(str(root), str(root / "link" / "secret"), "new"))
    assert (root.parent / "elsewhere" / "secret").read_text() == "secret"


def test_a_folder_is_made_over_no_link(root):
    (root / "link").symlink_to(root.parent / "elsewhere")
    refuses(lambda: make_folder_below(str(root), str(root / "link" / "new")))
    assert os.listdir(root.parent / "elsewhere") == ["secret"]
    make_folder_below(str(root / "n" / "m"), str(root / "n" / "m" / "o" / "p"))
    assert (root / "n" / "m" / "o" / "p").is_dir()
