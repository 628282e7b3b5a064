"""Parts of uploads whose process died are removed; parts that a living process writes stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from api.uploads.abandoned_parts import remove_abandoned_parts
from api.uploads.spool import SpooledFile, is_part, safe_name
from runtime.files.shared_folder import MARKER, mark
from tests.support.places import ROOT

_WRITER = """
import sys
from pathlib import Path
from api.uploads.spool import SpooledFile
file = SpooledFile(Path(sys.argv[1]), "j2", "b.csv")
file.write(b"x")
print("written", flush=True)
sys.stdin.read()
"""


def files(root: Path) -> set[str]:
    return {path.parent.name for path in root.rglob("*") if path.is_file() and path.name != MARKER}


def test_the_part_of_a_dead_process_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    mark(tmp_path)
    own = SpooledFile(tmp_path, "j1", "a.csv")
    own.write(b"x")
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"written\n"
    assert remove_abandoned_parts(tmp_path, least_age_seconds=-1) == 0
    assert files(tmp_path) == {"j1", "j2"}
    writer.kill()
    writer.wait()
    assert remove_abandoned_parts(tmp_path, least_age_seconds=600) == 0, "one so young may just not be locked yet"
    assert remove_abandoned_parts(tmp_path, least_age_seconds=-1) == 1
    assert files(tmp_path) == {"j1"}
    own.close()
    assert remove_abandoned_parts(tmp_path, least_age_seconds=-1) == 0, "it is complete, but not yet kept"
    own.keep()
    assert remove_abandoned_parts(tmp_path, least_age_seconds=-1) == 0
    assert (tmp_path / own.path).read_bytes() == b"x"


def test_no_upload_is_called_like_a_part() -> None:
    part = f".{'0' * 16}.part"
    assert is_part(part)
    assert not is_part(safe_name(part))
