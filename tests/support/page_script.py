"""The functions of the page's scripts that read first rows, run by the node that comes with Playwright."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from playwright._impl._driver import compute_driver_executable

from tests.support.places import ROOT

SCRIPTS = [ROOT / "api" / "static" / name for name in ("rows.js", "columns.js")]
RUN = """
const fs = require("fs");
const CONSTANT = "; globalThis.constant = (name) => eval(name)";
const script = process.argv.slice(1).map((path) => fs.readFileSync(path, "utf8")).join("\\n") + CONSTANT;
const asked = JSON.parse(fs.readFileSync(0, "utf8"));
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
const given = { decodeHead: bytes, headOf: (text) => new File([bytes(text)], "file.csv") };
globalThis.document = { addEventListener() {}, querySelectorAll: () => [] };
const names = "checkCell, checkRows, decodeHead, headOf, headerOf, headerProblem, rowsFrom, sentenceOf";
const scope = new Function(`${script}; return { ${names} };`)();
const call = (name, ...more) => (scope[name] ?? constant)(...more) ?? null;
const answers = asked.map(([name, first, ...more]) => call(name, given[name]?.(first) ?? first, ...more));
Promise.all(answers).then((found) => process.stdout.write(JSON.stringify(found)));
"""


def constants(*names: str) -> dict[str, Any]:
    """The constants of these names in the scripts."""
    return dict(zip(names, asked(*(("constant", name) for name in names)), strict=True))


def asked(*calls: tuple[Any, ...]) -> list[Any]:
    """What functions of the scripts answer to (name, arguments ...); bytes and files are given in Base64."""
    node, _ = compute_driver_executable()
    done = subprocess.run(
        [node, "-e", RUN, *map(str, SCRIPTS)], input=json.dumps(calls), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers
